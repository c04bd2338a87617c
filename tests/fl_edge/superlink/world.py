"""A whole federation for tests: chain, store, recorder, gated SuperLink, gated SuperNodes."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatoken.chain.signer import Signer
from datatoken.ddo import (
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Terms,
    Workflow,
    canonical_bytes,
)
from datatoken.ports import free_port
from datatoken.roles import (
    Administrator,
    AlgorithmProvider,
    AssetOwner,
    DataProvider,
    Institution,
    Site,
    complete_document,
)
from datatoken.store import VerifyingStore, open_store
from datatoken.types import Hex32, Scalar, sha256_hex
from fl_edge.fab import build_fab, bundle_folder, effective_config, read_source
from fl_edge.fab.document import app_fields, source_fields
from tests.fl_edge.harness import BIN, ROOT, Federation, Process
from tests.support.chain import Account, Chain

HERE = Path(__file__).parent
EDGE, AVERAGE = HERE / "edge_op", ROOT / "strategies" / "fedaverage"
PASSWORD = "secret of the tests"


@dataclass
class World:
    """One composite of `users` leaves below one algorithm, with a posted job.

    `terms` are the composite's; `app` is the FAB of a foreign app, instead of two bundles.
    """

    chain: Chain
    folder: Path
    users: int = 3
    terms: Terms = Terms()
    app: bytes | None = None
    parameters: dict[str, Scalar] = field(default_factory=dict)
    messages: tuple[str, ...] = ("train", "evaluate")
    federation: Federation = field(init=False)
    superlink: Process = field(init=False, repr=False)
    leaves: list[Hex32] = field(default_factory=list)
    nodes: list[Process] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.federation = Federation(self.folder)
        self.store_path = self.store_address()
        self.store: VerifyingStore = open_store(self.store_path)
        self.recorder_port = free_port()
        self.recorder_key = self.chain.account()
        self.password_file = self.folder / "password"
        self.password_file.write_text(PASSWORD + "\n")
        self._register()
        self._publish()
        self.job = self.post()

    # On the chain

    def store_address(self) -> str:
        """Return where everybody's store is."""
        return str(self.folder / "store")

    def site(self, name: str) -> Site:
        """Return a site with a state folder of its own."""
        return Site.open(self.chain.deployment, self.store, self.folder / "sites" / name)

    def role(self, kind: Any, account: Account, name: str) -> Any:
        """Return an account in a role."""
        return kind(self.site(name), account.signer)

    def _register(self) -> None:
        administrator = self.role(Administrator, self.chain.admin, "admin")

        def register(bundle: bytes, fields: dict[str, Any]) -> Hex32:
            document = complete_document(bundle, administrator.address, fields)
            return str(administrator.register_operation(bundle, document))

        if self.app is not None:
            self.fab = self.app
            self.edge_id = self.average_id = register(self.app, app_fields(self.app))
            return
        halves = bundle_folder(EDGE), bundle_folder(AVERAGE)
        self.fab = build_fab(*halves)
        self.edge_id = register(halves[0], source_fields(read_source(EDGE)))
        self.average_id = register(halves[1], source_fields(read_source(AVERAGE)))

    def _publish(self) -> None:
        for index in range(self.users):
            owner = self.role(DataProvider, self.chain.users[index], f"user-{index}")
            leaf = _service("data", supported_ops=[self.edge_id])
            self.leaves.append(owner.publish(leaf, salt=_salt()).dt)
        a = self.role(DataProvider, self.chain.a, "a")
        flow = {str(i): self.edge_id for i in range(self.users)} | {"self": self.average_id}
        recorder = RecorderRef(account=self.recorder_key.address, endpoint=self.recorder_url)
        self.composite: Hex32 = a.publish(
            _service(
                "data",
                child_dts=self.leaves,
                supported_ops=[self.edge_id],
                workflows=[Workflow(set_ops=[flow])],
                extra_params=ExtraParams(terms=self.terms, recorder=recorder),
            ),
            salt=_salt(),
        ).dt
        b = self.role(AlgorithmProvider, self.chain.b, "b")
        self.algorithm: Hex32 = b.publish(
            _service(
                "algorithm",
                child_dts=[self.composite],
                workflows=[Workflow(set_ops=[{"0": "self"}])],
            ),
            salt=_salt(),
        ).dt
        for index, leaf in enumerate(self.leaves):
            owner = self.role(DataProvider, self.chain.users[index], f"user-{index}")
            owner.grant(leaf, self.composite)
        a.grant(self.composite, self.algorithm)

    def post(self) -> Hex32:
        """Post the algorithm as a job of its own task."""
        b = self.role(Institution, self.chain.b, "b")
        return str(b.post_job(b.create_task(f"task {_salt()}"), self.algorithm))

    def request(self, **overrides: Scalar) -> Hex32:
        """Sign a compute request for a run with these overrides, and announce it."""
        b = self.role(AlgorithmProvider, self.chain.b, "b")
        config = effective_config(self.fab, overrides)
        signed = b.sign_request(self.job, sha256_hex(self.fab), config, audience=self.composite)
        a = self.role(AssetOwner, self.chain.a, "a")
        a.announce(self.job, signed)
        return str(signed.digest())

    def grant(self, index: int, **limits: int) -> None:
        """Grant one user's DT anew, with these limits."""
        owner = self.role(DataProvider, self.chain.users[index], f"user-{index}")
        owner.grant(self.leaves[index], self.composite, **limits)

    def revoke(self, index: int) -> None:
        """Revoke one user's grant."""
        owner = self.role(DataProvider, self.chain.users[index], f"user-{index}")
        owner.revoke(self.leaves[index], self.composite)

    # How processes reach each other

    @property
    def recorder_url(self) -> str:
        """Address of the recorder."""
        return f"http://127.0.0.1:{self.recorder_port}"

    def recorder_options(self) -> list[str]:
        """Return further options of the recorder."""
        return []

    def superlink_options(self) -> list[str]:
        """Return further options of the SuperLink."""
        return ["--insecure"]

    def node_options(self, index: int) -> list[str]:
        """Return further options of a user's SuperNode."""
        return ["--insecure"]

    # Processes

    def keystore(self, name: str, signer: Signer) -> Path:
        """Write a keystore and return its path."""
        path = self.folder / f"{name}.json"
        if not path.exists():
            signer.save(path, PASSWORD, work=2)
        return path

    def start_recorder(self) -> Process:
        """Start the recorder."""
        keystore = self.keystore("recorder", self.recorder_key.signer)
        process = self.federation.start(
            "recorder",
            [
                str(BIN / "datatoken"),
                *("recorder", "--port", str(self.recorder_port), "--linger", "2"),
                *self.recorder_options(),
                *("--state", str(self.folder / "recorder-state")),
                *("--deployment", str(self.chain.deployment_path), "--store", str(self.store_path)),
                *("--keystore", str(keystore), "--password-file", str(self.password_file)),
            ],
        )
        process.wait_for("listens on")
        return process

    def superlink_command(self, port: int) -> list[str]:
        """Return the command line of the gated SuperLink."""
        return [
            *("fl-edge", "superlink", "--port", str(port)),
            *("--deployment", str(self.chain.deployment_path), "--store", str(self.store_path)),
            *("--state", str(self.folder / "superlink"), "--dt", self.composite),
            *("--keystore", str(self.keystore("a", self.chain.a.signer))),
            *("--password-file", str(self.password_file), *self.superlink_options()),
        ]

    def start_superlink(self) -> Process:
        """Start the gated SuperLink."""
        self.federation.port = self.federation.port or free_port()

        command = self.superlink_command(self.federation.port)
        self.superlink = self.federation.start("superlink", [str(BIN / command[0]), *command[1:]])
        self.superlink.wait_for("Uvicorn running|startup complete")
        return self.superlink

    def gate_arguments(self, index: int) -> list[str]:
        """Return what the gate of one user is started with, in whatever process it is."""
        node_key = Signer.random()
        owner = self.role(AssetOwner, self.chain.users[index], f"user-{index}")
        delegation = owner.delegate(self.leaves[index], node_key.address, int(time.time()) + 3600)
        path = self.folder / f"delegation-{index}.json"
        path.write_bytes(canonical_bytes(delegation))
        return [
            *("--superlink", self.federation.address, "--dt", self.leaves[index]),
            *("--deployment", str(self.chain.deployment_path), "--store", str(self.store_path)),
            *("--state", str(self.folder / f"node-{index}")),
            *("--node-key", str(self.keystore(f"node-key-{index}", node_key))),
            *("--password-file", str(self.password_file), "--delegation", str(path)),
            *self.node_options(index),
        ]

    def start_node(self, index: int) -> Process:
        """Start the gated SuperNode of one user."""
        command = [str(BIN / "fl-edge"), "supernode", *self.gate_arguments(index)]
        process = self.federation.start(f"node-{index}", command)
        self.nodes.append(process)
        return process

    def start(self) -> None:
        """Start recorder, SuperLink and all nodes."""
        self.start_recorder()
        self.start_superlink()
        for index in range(self.users):
            self.start_node(index)
        for node in self.nodes:
            node.wait_for("gate in place")

    def write_fab_app(self) -> Path:
        """Unpack the FAB as the app folder of a `flwr run` user."""
        from fl_edge.fab import read_fab

        folder = self.folder / "app"
        for name, content in read_fab(self.fab).items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        return folder

    def documents(self) -> list[dict[str, Any]]:
        """Return what the recorder has logged, as its own ledger holds it."""
        from datatoken.service.client import RecorderClient

        client = RecorderClient(
            self.recorder_url,
            self.chain.a.signer,
            recorder=self.recorder_key.address,
        )
        try:
            return [json.loads(canonical_bytes(d)) for d in client.documents(self.job)]
        finally:
            client.close()

    def close(self) -> None:
        """End all processes."""
        self.federation.close()


def _service(kind: Any, **more: Any) -> Metadata:
    return Metadata(services=[Service(type=kind, endpoint="https://a.example", **more)])


_count = int(time.time() * 1000) % 2**31


def _salt() -> int:
    global _count
    _count += 1
    return _count % 2**32
