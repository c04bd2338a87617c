"""flwr's own Fleet client against the proxy: what a stock SuperNode gets and what leaves."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from flwr.app import Message, MetricRecord, RecordDict
from flwr.proto.fleet_pb2 import ActivateNodeRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatResponse
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supercore.run import RunNotRunningException
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.fleet_http_connection import http_request_response
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ports import free_port
from datatoken.types import sha256_hex
from fl_edge.gate_proxy.fleet import Fleet
from fl_edge.gate_proxy.server import make_app
from fl_edge.messages.envelope import bare
from fl_edge.supernode.gate import Gate
from fl_edge.supernode.seam import Link, Received, link_of
from tests.fl_edge.messages.makers import records
from tests.fl_edge.supernode.parts import (
    NODE_ID,
    RUN_ID,
    MemoryAuthority,
    MemoryLink,
    fab_of,
    objects_of,
    receipt_book,
    reply_to,
    request,
)


@dataclass
class MemoryUplink:
    """The SuperLink's side in memory."""

    link: MemoryLink
    opened: int = 0
    closed: int = 0
    ended: set[int] = field(default_factory=set)

    def open(self) -> Link:
        self.opened += 1
        return self.link.link()

    def close(self) -> None:
        self.closed += 1

    def heartbeat(self) -> SendNodeHeartbeatResponse:
        return SendNodeHeartbeatResponse(success=True)

    def runs(self, run_id: int) -> bool:
        return run_id not in self.ended


@dataclass
class Proxy:
    """A proxy that listens, over a SuperLink and a decision in memory."""

    folder: Path
    allowed: bytes | None = None
    real: MemoryLink = field(default_factory=lambda: MemoryLink(fab_of()))
    uplink: Any = None

    def __post_init__(self) -> None:
        self.authority = MemoryAuthority({sha256_hex(self.real.fab)})
        self.book, self.history = receipt_book(self.folder / "history.sqlite")
        self.uplink = self.uplink or MemoryUplink(self.real)
        self.fleet = Fleet(self.uplink, self._gate, self.allowed)
        self.port = free_port()
        config = uvicorn.Config(
            make_app(self.fleet), port=self.port, log_level="warning", ws="none"
        )
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run)
        self.thread.start()
        while not self.server.started:
            self.thread.join(0.01)

    def _gate(self, link: Link) -> Link:
        return Gate(link, self.authority, self.book).link()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join()

    @contextmanager
    def node(self, keys: Any = None) -> Iterator[Link]:
        """Connect as a stock SuperNode does."""
        address = f"127.0.0.1:{self.port}"
        with http_request_response(address, True, None, keys, 0, 5) as connection:
            yield link_of(connection)


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Proxy]:
    """A proxy for any SuperNode."""
    made = Proxy(tmp_path)
    yield made
    made.stop()


def handed(node: Link) -> Message:
    """Take a message as flwr's main loop does; return it whole."""
    received = node.receive()
    assert received is not None
    message, tree = received
    run = node.get_run(message.metadata.run_id)
    assert node.get_fab(run.fab_hash, run.run_id).content
    for object_id in [tree.object_id, *(child.object_id for child in tree.children)]:
        assert node.pull_object(run.run_id, object_id)
    node.confirm(run.run_id, message.metadata.message_id)
    return message


def honest(asked: Message) -> Message:
    """Return a reply that may leave."""
    arrays = records()["arrays"]
    metrics = MetricRecord({"loss": 0.5, "num-examples": 3})
    return reply_to(asked, RecordDict({"arrays": arrays, "metrics": metrics}))


def answer(node: Link, asked: Message) -> None:
    """Send a reply with all that is asked for."""
    reply = honest(asked)
    wanted, session = node.send(bare(reply), get_object_tree(reply), 0.1)
    for object_id, content in objects_of(reply).items():
        if object_id in wanted:
            node.push_object(RUN_ID, session, object_id, content)


def test_an_admitted_message_and_its_receipted_reply(proxy: Proxy) -> None:
    """Acceptance: 79, 102, 106."""
    asked = request(records())
    proxy.real.deliver(asked)

    with proxy.node() as node:
        assert node.node_id == NODE_ID
        assert handed(node).metadata.message_id == asked.metadata.message_id
        assert node.get_run(RUN_ID).series_id == RUN_ID, "the rebuilt run, not the SuperLink's"
        answer(node, asked)

    (sent,) = proxy.real.sent
    assert not sent.has_error()
    assert len(proxy.history.outbox()) == 1
    assert proxy.uplink.closed >= 1


def test_a_refused_message_never_reaches_the_supernode(proxy: Proxy) -> None:
    """Acceptance: 79, 102."""
    proxy.authority.refusal = Refused(Reason.GRANT_REVOKED, "It was revoked.")
    proxy.real.deliver(request(records()))

    with proxy.node() as node:
        assert node.receive() is None
        with pytest.raises((RunNotRunningException, httpx.HTTPStatusError)):
            node.get_run(RUN_ID + 1)

    (sent,) = proxy.real.sent
    assert sent.error.reason.startswith("refused by data owner: GRANT_REVOKED: It was revoked.")


def test_an_answer_that_is_lost_on_the_way_to_the_supernode(proxy: Proxy) -> None:
    """Pulled twice it is one message, counted once; sent twice it is one reply."""
    asked = request(records())
    proxy.real.deliver(asked)

    with proxy.node() as node:
        first, second = node.receive(), node.receive()
        assert first and second and first[0].metadata == second[0].metadata
        node.confirm(RUN_ID, asked.metadata.message_id)
        node.confirm(RUN_ID, asked.metadata.message_id)
        reply = honest(asked)
        tree = get_object_tree(reply)
        once, again = (node.send(bare(reply), tree, 0.1) for _ in range(2))
        assert once == again
        for _ in range(2):
            for object_id, content in objects_of(reply).items():
                node.push_object(RUN_ID, once[1], object_id, content)
        assert node.receive() is None

    assert len(proxy.authority.kinds) == len(proxy.real.sent) == 1
    assert proxy.real.confirmed == [asked.metadata.message_id]


def test_a_late_confirmation_does_not_drop_the_next_message(proxy: Proxy) -> None:
    first, second = request(records()), request(records(), src_node_id=2)
    for asked in (first, second):
        proxy.real.deliver(asked)

    with proxy.node() as node:
        for asked in (first, second):
            assert handed(node).metadata.message_id == asked.metadata.message_id
            answer(node, asked)
        third = request(records(), src_node_id=3)
        proxy.real.deliver(third)
        assert node.receive() is not None
        node.confirm(RUN_ID, second.metadata.message_id)
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            node.confirm(RUN_ID, first.metadata.message_id)
        assert handed(node).metadata.message_id == third.metadata.message_id

    assert proxy.real.confirmed == [m.metadata.message_id for m in (first, second, third)]


def test_a_message_answered_without_being_confirmed_does_not_block_the_node(proxy: Proxy) -> None:
    """flwr's SuperNode answers so where a FAB's signature is missing."""
    first, second = request(records()), request(records(), src_node_id=2)
    for asked in (first, second):
        proxy.real.deliver(asked)

    with proxy.node() as node:
        assert node.receive() is not None
        answer(node, first)
        assert handed(node).metadata.message_id == second.metadata.message_id
        answer(node, second)

    assert len(proxy.real.sent) == 2
    assert proxy.real.confirmed == [m.metadata.message_id for m in (first, second)]


def test_a_message_of_a_run_that_has_ended_does_not_block_the_node(proxy: Proxy) -> None:
    first, second = request(records()), request(records(), run_id=RUN_ID + 1)
    for asked in (first, second):
        proxy.real.deliver(asked)

    with proxy.node() as node:
        for _ in range(2):
            received = node.receive()
            assert received and received[0].metadata.run_id == RUN_ID
        proxy.uplink.ended.add(RUN_ID)
        received = node.receive()
        assert received and received[0].metadata.run_id == RUN_ID + 1


def test_a_supernode_that_comes_anew_is_not_given_what_its_predecessor_was_pulling(
    proxy: Proxy,
) -> None:
    """The message is of a run that the new gate does not know: it would come again for ever."""
    first, second = request(records()), request(records(), src_node_id=2)
    proxy.real.deliver(first)
    pulling, go_on, receive = threading.Event(), threading.Event(), proxy.real.receive

    def slowly() -> Received | None:
        pulling.set()
        go_on.wait()
        return receive()

    proxy.real.receive = slowly  # type: ignore[method-assign]
    with proxy.node() as old:
        gone = threading.Thread(target=failing, args=(old.receive,))
        gone.start()
        pulling.wait()
        threading.Thread(target=release, args=(proxy, go_on)).start()
        with proxy.node() as new:
            gone.join()
            proxy.real.deliver(second)
            assert handed(new).metadata.message_id == second.metadata.message_id


def release(proxy: Proxy, go_on: threading.Event) -> None:
    """Let a pull go on once the next SuperNode has come."""
    while proxy.uplink.opened < 2:
        time.sleep(0.01)
    time.sleep(0.2)  # without the lock the new gate is in place by then
    go_on.set()


def failing(call: Callable[[], object]) -> None:
    """Call; nobody hears of what it raises."""
    with suppress(Exception):
        call()


def test_a_strange_process_on_the_proxys_port(tmp_path: Path) -> None:
    """Whoever is not the SuperNode that the owner names gets nothing."""
    own, other = generate_key_pairs(), generate_key_pairs()
    proxy = Proxy(tmp_path, allowed=public_key_to_bytes(own[1]))
    proxy.real.deliver(request(records()))
    try:
        url = f"http://127.0.0.1:{proxy.port}/v1/"
        assert httpx.post(url + "fleet/pull-messages").status_code == 401
        assert httpx.post(url + "fleet/start-run").status_code == 404
        assert httpx.post(url + "control/list-runs").status_code == 404
        assert activated(proxy, other) == 401
        assert proxy.uplink.opened == 0
        with proxy.node(own) as node:
            assert activated(proxy, other) == 401
            assert node.receive() is not None
    finally:
        proxy.stop()


def activated(proxy: Proxy, keys: Any) -> int:
    """Return the status of an activation under a key."""
    raw = public_key_to_bytes(keys[1])
    address = f"127.0.0.1:{proxy.port}"
    signer = NodeAuthHttpInterceptor(*keys)
    with FleetHttpClient.from_server_address(address, True, None, [signer]) as client:
        try:
            client.ActivateNode(ActivateNodeRequest(public_key=raw, heartbeat_interval=30))
        except httpx.HTTPStatusError as error:
            return error.response.status_code
    return 200
