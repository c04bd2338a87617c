"""A recorder as its own process, and a job whose members report to it."""

import contextlib
import copy
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import httpx

from datatoken.chain.event_types import TokenMinted
from datatoken.chain.signer import Signer
from datatoken.ddo import Ddo, Metadata, Service, Terms, Workflow, ddo_bytes, make_ddo
from datatoken.ddo.models import ExtraParams, RecorderRef
from datatoken.rounds.receipts import SignedReceipt
from datatoken.service.client import LogFollower, RecorderClient
from datatoken.store import VerifyingStore, open_store
from datatoken.types import Address, Hex32, OperationKind
from tests.support.chain import Account, Chain, fresh, wait_until
from tests.support.receipts import Node

PASSWORD = "correct horse battery staple"


@dataclass
class Governed:
    """A job over real documents: users' data, A's composite, B's algorithm."""

    chain: Chain
    store_path: Path
    recorder: Account
    members: int = 3
    timeout: int = 600
    job: Hex32 = ""
    composite: Hex32 = ""
    algorithm: Hex32 = ""
    nodes: list[Node] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.store: VerifyingStore = open_store(self.store_path)
        chain, client = self.chain, fresh()
        self.owners = chain.users[: self.members]
        leaves = [self._mint(owner, _leaf(client)) for owner in self.owners]
        ref = RecorderRef(account=self.recorder.address, endpoint="http://127.0.0.1:1")
        terms = Terms(min_participants=2, round_timeout=self.timeout)
        extra = ExtraParams(recorder=ref, terms=terms)
        self.composite = self._mint(chain.a, _composite(leaves, client, extra))
        self.algorithm = self._mint(chain.b, _algorithm(self.composite))
        for owner, leaf in zip(self.owners, leaves, strict=True):
            chain.grant(owner, leaf, self.composite)
        chain.grant(chain.a, self.composite, self.algorithm)
        self.leaves = leaves
        self.job = self._post()
        self.nodes = [
            Node.of(owner.signer, leaf, chain.network)
            for owner, leaf in zip(self.owners, leaves, strict=True)
        ]

    def _post(self) -> Hex32:
        below = [self.composite, *self.leaves]
        return self.chain.post(self.chain.b, self.algorithm, below, self.recorder.address)

    def again(self) -> Self:
        """Return another job over the same DTs, with nodes of its own."""
        made = copy.copy(self)
        made.job = made._post()
        made.nodes = [
            Node.of(owner.signer, leaf, self.chain.network)
            for owner, leaf in zip(self.owners, self.leaves, strict=True)
        ]
        return made

    def _mint(self, owner: Account, metadata: Metadata) -> Hex32:
        network = self.chain.network
        salt = int.from_bytes(os.urandom(4), "big")
        ddo: Ddo = make_ddo(metadata, network.chain_id, network.tokens, owner.address, salt)
        digest = self.store.put(ddo_bytes(ddo))
        intent = self.chain.contracts.tokens.mint(ddo.kind, ddo.proof, digest, ddo.children, salt)
        minted = owner.send(intent).event(TokenMinted).dt
        assert minted == ddo.dt
        return minted

    def client(self, url: str, who: Signer | Node, **options: Any) -> RecorderClient:
        """Return a client that signs as an account or as a node with its delegation."""
        recorder = self.recorder.address
        if isinstance(who, Node):
            return RecorderClient(
                url, who.key, recorder=recorder, delegation=who.delegation, **options
            )
        return RecorderClient(url, who, recorder=recorder, **options)

    def follower(self, url: str, node: Node, path: Path) -> LogFollower:
        """Return the log follower of a node."""
        client = self.client(url, node)
        return LogFollower(client, self.chain.reader(), path, own=[node.dt])

    def server_node(self) -> Node:
        """Return a node key that A delegates for its composite."""
        return Node.of(self.chain.a.signer, self.composite, self.chain.network)

    def head(self) -> tuple[str, int]:
        """Return head and number of the recorder's log on the chain."""
        return self.chain.reader().head(self.job, self.recorder.address)

    def wait_round(self, number: int) -> None:
        """Wait until the chain holds this many rounds."""
        wait_until(lambda: self.head()[1] >= number)

    def round(self, input_digest: Hex32, **options: Any) -> list[SignedReceipt]:
        """Return one receipt of every member for an input."""
        return [node.receipt(self.job, input_digest, **options) for node in self.nodes]


@dataclass
class GovernedMpc(Governed):
    """An MPC job: four DTs of two owners directly below institution B's algorithm."""

    members: int = 4

    def __post_init__(self) -> None:
        self.store = open_store(self.store_path)
        chain = self.chain
        share, compute = (chain.register(OperationKind.MPC) for _ in range(2))
        self.owners = [chain.users[0], chain.users[1]] * 2
        operations = [share, share, compute, compute]
        self.leaves = [
            self._mint(owner, _leaf(operation))
            for owner, operation in zip(self.owners, operations, strict=True)
        ]
        ref = RecorderRef(account=self.recorder.address, endpoint="http://127.0.0.1:1")
        service = Service(
            type="algorithm",
            endpoint="local",
            child_dts=self.leaves,
            workflows=[Workflow(set_ops=[{str(i): op for i, op in enumerate(operations)}])],
            extra_params=ExtraParams(recorder=ref, terms=Terms(round_timeout=self.timeout)),
        )
        self.algorithm = self.composite = self._mint(chain.b, Metadata(services=[service]))
        for owner, leaf in zip(self.owners, self.leaves, strict=True):
            chain.grant(owner, leaf, self.algorithm)
        self.job = self._post()
        self.nodes = [
            Node.of(owner.signer, leaf, chain.network)
            for owner, leaf in zip(self.owners, self.leaves, strict=True)
        ]

    def _post(self) -> Hex32:
        return self.chain.post(self.chain.b, self.algorithm, self.leaves, self.recorder.address)


def _leaf(operation: Hex32) -> Metadata:
    return Metadata(services=[Service(type="data", endpoint="local", supported_ops=[operation])])


def _composite(children: list[Hex32], operation: Hex32, extra: ExtraParams) -> Metadata:
    stage = {str(i): operation for i in range(len(children))} | {"self": fresh()}
    return Metadata(
        services=[
            Service(
                type="data",
                endpoint="local",
                child_dts=children,
                supported_ops=[operation],
                workflows=[Workflow(set_ops=[stage])],
                extra_params=extra,
            )
        ]
    )


def _algorithm(composite: Hex32) -> Metadata:
    return Metadata(
        services=[
            Service(
                type="algorithm",
                endpoint="local",
                child_dts=[composite],
                workflows=[Workflow(set_ops=[{"0": "self"}])],
            )
        ]
    )


class Running:
    """`datatoken recorder` in a process of its own."""

    def __init__(
        self,
        governed: Governed,
        folder: Path,
        *,
        port: int = 0,
        linger: int = 1,
        auditors: Sequence[Address] = (),
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        keystore, password = folder / "key.json", folder / "password"
        if not keystore.exists():
            governed.recorder.signer.save(keystore, PASSWORD, work=2**4)
            password.write_text(PASSWORD + "\n")
        self.log = folder / "recorder.log"
        command = [
            sys.executable, "-c", "from datatoken.cli.app import main; main()", "recorder",
            "--deployment", str(governed.chain.deployment_path),
            "--store", str(governed.store_path),
            "--keystore", str(keystore), "--password-file", str(password),
            "--state", str(folder / "state"), "--folder", str(folder),
            "--port", str(port), "--linger", str(linger), "--format", "json",
            *(text for account in auditors for text in ("--auditor", account)),
        ]  # fmt: skip
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=self.log.open("ab"), text=True
        )
        self.url = self._ready()

    def _ready(self) -> str:
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            with contextlib.suppress(ValueError):
                return str(json.loads("".join(lines))["url"])
        self.process.wait(10)
        raise AssertionError(f"the recorder ended: {self.log.read_text()}")

    def kill(self) -> None:
        """Kill it, as a power cut would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        """Stop it and return its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def get(self, path: str) -> httpx.Response:
        """Make an unsigned call."""
        return httpx.get(self.url + path, timeout=10)

    def metrics(self) -> dict[str, int]:
        """Return the metrics without labels."""
        lines = [line for line in self.get("/metrics").text.splitlines() if line[0] != "#"]
        return {
            name.removeprefix("datatoken_recorder_"): int(float(value))
            for name, value in (line.rsplit(" ", 1) for line in lines)
        }
