"""The gate over a real chain, a real store and a real recorder; only the SuperLink is in memory."""

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.common.config import get_metadata_from_config
from flwr.supercore.inflatable.inflatable_object import get_object_tree

from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.ddo import canonical_bytes
from datatoken.ddo.terms import Terms
from datatoken.roles import AssetOwner
from datatoken.service.client import RecorderClient
from datatoken.types import MessageKind
from fl_edge.fab import app_config, read_fab, write_fab
from fl_edge.messages import message_digest
from fl_edge.messages.envelope import bare
from fl_edge.supernode.gate import Gate
from fl_edge.supernode.owner import OwnerSide
from fl_edge.supernode.settings import Settings
from tests.fl_edge.superlink.world import PASSWORD, World
from tests.fl_edge.supernode.parts import MemoryLink, objects_of, reply_to, request
from tests.support.chain import Chain, wait_until
from tests.support.proxy import proxy_to

PREFIX = "refused by data owner: "


@dataclass
class Node:
    """One user's gate over chain, store and recorder."""

    world: World
    index: int
    side: OwnerSide
    link: MemoryLink
    gate: Gate

    @classmethod
    def open(cls, world: World, index: int, folder: Path, deployment: Path | None = None) -> "Node":
        """Open a node with a key and a delegation of its own."""
        folder.mkdir(parents=True)
        key = Signer.create(folder / "key.json", PASSWORD, work=2)
        owner = world.role(AssetOwner, world.chain.users[index], f"user-{index}")
        delegation = owner.delegate(world.leaves[index], key.address, int(time.time()) + 3600)
        (folder / "delegation.json").write_bytes(canonical_bytes(delegation))
        settings = Settings(
            superlink="",
            dt=world.leaves[index],
            deployment=deployment or world.chain.deployment_path,
            store=str(world.store_path),
            state=folder / "state",
            node_key=folder / "key.json",
            delegation=folder / "delegation.json",
            password=PASSWORD,
        )
        side = OwnerSide.open(settings)
        side.outbox.start()
        fab_id, version = get_metadata_from_config(app_config(world.fab))
        link = MemoryLink(world.fab, {"fab_id": fab_id, "fab_version": version})
        gate = Gate(link.link(), side.authority, side.book, after_reply=side.outbox.wake)
        return cls(world, index, side, link, gate)

    def named(self, **overrides: object) -> None:
        """Let the SuperLink say these overrides of the next runs."""
        self.link.run_fields = {**self.link.run_fields, "override_config": overrides}

    def ask(self, message: Message) -> str | None:
        """Deliver a message; return the reason of a refusal."""
        before = len(self.link.sent)
        self.link.deliver(message)
        if self.gate.receive() is not None:
            return None
        told = self.link.sent[before].error.reason or ""
        assert told.startswith(PREFIX)
        return told.removeprefix(PREFIX).split(":")[0]

    def answer(self, message: Message) -> None:
        """Answer as an honest app does."""
        content = RecordDict(
            {"arrays": message.content["arrays"], "m": MetricRecord({"loss": 0.1})}
        )
        if message.metadata.message_type != "train":
            content = RecordDict({"m": MetricRecord({"loss": 0.1})})
        reply = reply_to(message, content)
        ids, session = self.gate.send(bare(reply), get_object_tree(reply), 0.1)
        for object_id in ids:
            self.gate.push(
                message.metadata.run_id, session, object_id, objects_of(reply)[object_id]
            )
        assert not self.link.sent[-1].has_error(), self.link.sent[-1].error


_runs = iter(range(1000, 2000))


def message(run: int, kind: str = "train", number: int = 1, **values: object) -> Message:
    """Return a round's message."""
    arrays = ArrayRecord([np.full((2, 2), float(number), np.float32)])
    config = ConfigRecord({"server-round": number, **values})  # type: ignore[dict-item]
    return request(RecordDict({"arrays": arrays, "config": config}), kind, run_id=run)


@pytest.fixture(scope="module")
def world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Two users below one composite, a posted job, and its recorder."""
    made = World(chain, tmp_path_factory.mktemp("gate"), users=2, terms=Terms(lag=4))
    made.start_recorder()
    yield made
    made.close()


@pytest.fixture
def nodes(world: World, tmp_path: Path) -> Iterator[list[Node]]:
    """The gates of both users, and a fresh announced compute request."""
    world.request()
    found = [Node.open(world, index, tmp_path / f"node-{index}") for index in range(2)]
    yield found
    for node in found:
        node.side.outbox.stop()


def test_rounds_of_two_members(world: World, nodes: list[Node]) -> None:
    """Both compute, both are in the round on the chain, the job follows from chain and bytes.

    Acceptance: 79, 80, 104, 106, 107
    """
    run = next(_runs)
    rounds = [(1, "train"), (1, "evaluate"), (2, "train")]
    for done, (number, kind) in enumerate(rounds, start=1):
        asked = message(run, kind, number)
        for node in nodes:
            assert node.ask(asked) is None
            node.answer(asked)
        _name_round(world, run, asked)
        wait_until(lambda done=done: len(_receipts(world)) == 2 * done, 40)  # type: ignore[misc]
    groups = {(r["kind"], r["input"]) for r in _receipts(world)}
    assert len(groups) == len(rounds), "members' input digests differ"
    assert {r["dt"] for r in _receipts(world)} == set(world.leaves)
    assert not any(node.side.outbox._history.outbox() for node in nodes)


def _name_round(world: World, run: int, asked: Message) -> None:
    """Tell the recorder how many are expected, as a SuperLink does."""
    client = RecorderClient(
        f"http://127.0.0.1:{world.recorder_port}",
        world.chain.a.signer,
        recorder=world.recorder_key.address,
    )
    client.name_round(
        world.job,
        run=str(run),
        kind=MessageKind(asked.metadata.message_type),
        input_digest=message_digest(asked),
        expected=2,
    )
    client.close()


def _receipts(world: World) -> list[dict[str, object]]:
    """Return all receipts that the recorder has logged on the chain."""
    return [r["receipt"] for document in world.documents() for r in document["receipts"]]


def test_an_app_with_every_check_removed_and_one_byte_changed(nodes: list[Node]) -> None:
    """Enforcement does not depend on the app. Acceptance: 102, 103."""
    files = dict(read_fab(nodes[0].world.fab))
    name = next(name for name in files if name.endswith("client_app.py"))
    changed = {**files, name: files[name] + b"#"}
    pyproject = changed.pop("pyproject.toml")
    nodes[0].link.fab = write_fab(pyproject, changed)
    assert nodes[0].ask(message(next(_runs))) == "OPERATION_MISMATCH"


def test_an_unposted_job(nodes: list[Node]) -> None:
    """Acceptance: 44, 79."""
    nodes[0].named(**{"datatoken-job": "0x" + "ab" * 32})
    assert nodes[0].ask(message(next(_runs))) == "JOB_UNKNOWN"


def test_parameters_outside_terms(nodes: list[Node]) -> None:
    """Overrides and records outside the schema are refused, at every message. Acceptance: 104."""
    nodes[0].named(step=11.0)
    assert nodes[0].ask(message(next(_runs))) == "PARAMETERS_OUTSIDE_TERMS"
    nodes[0].named()
    run = next(_runs)
    assert nodes[0].ask(message(run)) is None
    assert nodes[0].ask(message(run, secret_mode=1)) == "PARAMETERS_OUTSIDE_TERMS"


def test_parameters_that_nobody_signed(nodes: list[Node]) -> None:
    """Allowed by the schema, but not what the algorithm's owner signed. Acceptance: 112."""
    nodes[0].named(step=2.0)
    assert nodes[0].ask(message(next(_runs))) == "REQUEST_MISMATCH"


def test_replayed_request(nodes: list[Node]) -> None:
    """A compute request starts one run. Acceptance: 112."""
    run, other = next(_runs), next(_runs)
    assert nodes[0].ask(message(run)) is None
    assert nodes[0].ask(message(other)) == "REQUEST_REPLAYED"
    assert nodes[0].ask(message(run, "evaluate")) is None


def test_a_paused_job_and_its_end(world: World, nodes: list[Node]) -> None:
    """What ends in the middle of a run ends the run here; what is added is seen at once.

    Acceptance: 104, 105
    """
    run, market = next(_runs), world.chain.contracts.market
    assert nodes[0].ask(message(run)) is None
    world.chain.b.send(market.pause(world.job))
    assert nodes[0].ask(message(run, "evaluate")) == "JOB_NOT_OPEN"
    world.chain.b.send(market.reopen(world.job))
    assert nodes[0].ask(message(run, "evaluate")) is None


def test_one_chain_read_when_nothing_has_changed(nodes: list[Node]) -> None:
    """Acceptance: 104."""
    run = next(_runs)
    assert nodes[0].ask(message(run)) is None
    rpc = nodes[0].side.authority._gatekeeper._reader.reader.rpc  # type: ignore[attr-defined]
    before = rpc.calls
    assert nodes[0].ask(message(run, "evaluate")) is None
    assert rpc.calls - before == 1


def test_a_gate_behind_three_nodes_of_the_chain_that_lie(world: World, tmp_path: Path) -> None:
    """One liar changes nothing; two that contradict each other are refused. Acceptance: 111."""

    def forged(byte: int) -> Callable[[dict[str, Any], dict[str, Any]], dict[str, Any]]:
        def lie(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
            if request["method"] != "eth_call" or "result" not in answer:
                return answer
            return {**answer, "result": answer["result"][:-2] + f"{byte:02x}"}

        return lie

    def honest(request: dict[str, Any], answer: dict[str, Any]) -> dict[str, Any]:
        return answer

    with ExitStack() as stack:
        chain = [stack.enter_context(proxy_to(world.chain.url)) for _ in range(3)]
        file = tmp_path / "deployment.json"
        urls = tuple(one.url for one in chain)
        world.chain.deployment.model_copy(update={"rpc_urls": urls}).save(file)
        world.request()
        node = Node.open(world, 0, tmp_path / "node", file)
        stack.callback(node.side.outbox.stop)
        run = next(_runs)

        assert node.ask(message(run)) is None
        chain[0].after = forged(0xA1)
        assert node.ask(message(run, "evaluate")) is None
        chain[1].after = forged(0xA2)
        assert node.ask(message(run, "evaluate")) == "NODES_DISAGREE"
        chain[0].after = honest
        assert node.ask(message(run, "evaluate")) is None
        assert (tmp_path / "node" / "state" / "chain-seen.json").is_file()


def test_chain_out_of_reach(nodes: list[Node], monkeypatch: pytest.MonkeyPatch) -> None:
    """Refused with its code, and computed again once the chain is back. Acceptance: 111."""
    run = next(_runs)
    assert nodes[0].ask(message(run)) is None
    reader = nodes[0].side.authority._gatekeeper._reader.reader
    with monkeypatch.context() as away:
        away.setattr(reader, "rpc", Rpc("http://127.0.0.1:9"))
        assert nodes[0].ask(message(run, "evaluate")) == "CHAIN_UNREACHABLE"
        told = nodes[0].link.sent[-1].error.reason or ""
        assert "127.0.0.1" not in told
    assert nodes[0].ask(message(run, "evaluate")) is None


def test_store_out_of_reach(world: World, nodes: list[Node]) -> None:
    """Without documents nothing is decided. Acceptance: 111."""
    folder = Path(world.store_path)
    hidden = folder.rename(folder.with_name("hidden"))
    try:
        assert nodes[0].ask(message(next(_runs))) in ("STORE_UNREACHABLE", "OPERATION_MISMATCH")
        nodes[0].named(**{"datatoken-job": world.job})
        assert nodes[0].ask(message(next(_runs))) == "STORE_UNREACHABLE"
    finally:
        hidden.rename(folder)


def test_revoked_mid_run(world: World, nodes: list[Node]) -> None:
    """A revocation takes effect at the next message; here the terms ask for everyone.

    Runs last: it takes a user out of the world. Acceptance: 81, 105
    """
    run = next(_runs)
    for node in nodes:
        assert node.ask(message(run)) is None
    world.revoke(1)
    assert nodes[1].ask(message(run, "evaluate")) == "GRANT_REVOKED"
    assert nodes[0].ask(message(run, "evaluate")) == "TOO_FEW_PARTICIPANTS"
