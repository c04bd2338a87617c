"""What a SuperNode, or an app that poses as it, can write into its calls but not carry out.

The proxy's own uplink speaks HTTP to a SuperLink that keeps every call.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import ActivateNodeRequest, PullMessagesRequest, PushMessagesRequest
from flwr.proto.heartbeat_pb2 import SendNodeHeartbeatRequest
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest, PushObjectRequest
from flwr.proto.node_pb2 import Node
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.primitives.asymmetric import generate_key_pairs, public_key_to_bytes
from flwr.supercore.run import RunNotRunningException
from flwr.supernode.fleet_http_client import FleetHttpClient
from flwr.supernode.node_auth_http_interceptor import NodeAuthHttpInterceptor
from google.protobuf.message import Message as Proto

from fl_edge.gate_proxy.uplink import StoppedError, Uplink
from fl_edge.messages.envelope import bare
from fl_edge.supernode.seam import Link
from tests.fl_edge.gate_proxy.test_fleet import Proxy, honest
from tests.fl_edge.messages.makers import records
from tests.fl_edge.supernode.parts import NODE_ID, RUN_ID, objects_of, request

ROWS = "row 7: Meyer, 1961, f;" * 1000


class SuperLink(Proxy):
    """A SuperLink that answers any node and keeps what it was told."""

    def __post_init__(self) -> None:
        self.told: list[Proto] = []
        super().__post_init__()
        answer = self.fleet.answer

        def kept(name: str, body: bytes, headers: Any) -> Proto:
            call = self.fleet.calls[name][0]()
            call.ParseFromString(body)
            self.told.append(call)
            return answer(name, body, headers)

        self.fleet.answer = kept  # type: ignore[method-assign]

    def _gate(self, link: Link) -> Link:
        return link

    def heard(self, kind: type[Proto]) -> list[Any]:
        """Return the calls of one kind."""
        return [call for call in self.told if isinstance(call, kind)]


class Clock:
    """Stands still until it is moved."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def superlink(tmp_path: Path) -> Iterator[SuperLink]:
    (tmp_path / "superlink").mkdir()
    made = SuperLink(tmp_path / "superlink")
    yield made
    made.stop()


@pytest.fixture
def uplink(superlink: SuperLink) -> Iterator[Uplink]:
    made = Uplink(f"127.0.0.1:{superlink.port}", insecure=True, clock=Clock())
    yield made
    made.stop()


@pytest.fixture
def client(tmp_path: Path, uplink: Uplink) -> Iterator[FleetHttpClient]:
    """A SuperNode's client at a proxy whose uplink is a real one; it says what it likes."""
    proxy = Proxy(tmp_path, uplink=uplink)
    keys = generate_key_pairs()
    address, signer = f"127.0.0.1:{proxy.port}", NodeAuthHttpInterceptor(*keys)
    with FleetHttpClient.from_server_address(address, True, None, [signer]) as made:
        raw = public_key_to_bytes(keys[1])
        made.ActivateNode(ActivateNodeRequest(public_key=raw, heartbeat_interval=1.2345678e77))
        yield made
    proxy.stop()


NODE = Node(node_id=NODE_ID)


def test_numbers_and_text_in_calls_stay_with_the_owner(
    superlink: SuperLink, client: FleetHttpClient
) -> None:
    """Heartbeat intervals, run times, confirmed ids: each is the proxy's own word."""
    asked = request(records())
    superlink.real.deliver(asked)
    asked_id = asked.metadata.message_id

    client.SendNodeHeartbeat(SendNodeHeartbeatRequest(node=NODE, heartbeat_interval=6.02e23))
    assert client.PullMessages(PullMessagesRequest(node=NODE)).messages_list
    for run_id, said in ((RUN_ID, ROWS), (99, asked_id)):
        with pytest.raises(httpx.HTTPStatusError, match="404"):
            client.ConfirmMessageReceived(
                ConfirmMessageReceivedRequest(node=NODE, run_id=run_id, message_object_id=said)
            )
    client.ConfirmMessageReceived(
        ConfirmMessageReceivedRequest(node=NODE, run_id=RUN_ID, message_object_id=asked_id)
    )
    reply = honest(asked)
    session = client.PushMessages(
        PushMessagesRequest(
            node=NODE,
            messages_list=[message_to_proto(bare(reply))],
            message_object_trees=[get_object_tree(reply)],
            clientapp_runtime_list=[3.14e200, 1961.0],
        )
    ).session_id
    for object_id, content in objects_of(reply).items():
        client.PushObject(
            PushObjectRequest(
                node=NODE,
                run_id=99,
                session_id=session,
                object_id=object_id,
                object_content=content,
            )
        )

    (activated,) = superlink.heard(ActivateNodeRequest)
    (beat,) = superlink.heard(SendNodeHeartbeatRequest)
    (confirmed,) = superlink.heard(ConfirmMessageReceivedRequest)
    (sent,) = superlink.heard(PushMessagesRequest)
    assert activated.heartbeat_interval == beat.heartbeat_interval == HEARTBEAT_DEFAULT_INTERVAL
    assert (confirmed.run_id, confirmed.message_object_id) == (RUN_ID, asked_id)
    (runtime,) = sent.clientapp_runtime_list
    assert 0 <= runtime < 600
    assert {pushed.run_id for pushed in superlink.heard(PushObjectRequest)} == {RUN_ID}


def test_heartbeats_that_come_in_a_code_leave_at_the_proxys_pace(
    superlink: SuperLink, uplink: Uplink, client: FleetHttpClient
) -> None:
    beat = SendNodeHeartbeatRequest(node=NODE, heartbeat_interval=30)

    for _ in range(5):
        assert client.SendNodeHeartbeat(beat).success
    assert len(superlink.heard(SendNodeHeartbeatRequest)) == 1

    uplink._clock.now += 17.5  # type: ignore[attr-defined]
    assert client.SendNodeHeartbeat(beat).success
    assert len(superlink.heard(SendNodeHeartbeatRequest)) == 2


def test_a_heartbeat_that_failed_is_soon_tried_again(superlink: SuperLink, uplink: Uplink) -> None:
    uplink.open()
    superlink.fleet.answer = unanswered  # type: ignore[method-assign]

    with pytest.raises(httpx.HTTPStatusError):
        uplink.heartbeat()
    with pytest.raises(StoppedError):
        uplink.heartbeat()
    uplink._clock.now += 1.0  # type: ignore[attr-defined]
    with pytest.raises(httpx.HTTPStatusError):
        uplink.heartbeat()


def unanswered(*_: object) -> Proto:
    """Answer as a SuperLink that is overloaded."""
    raise StoppedError


def test_whether_a_run_still_runs(superlink: SuperLink, uplink: Uplink) -> None:
    """A SuperLink that does not answer ends no run."""
    uplink.open()
    assert uplink.runs(RUN_ID)

    superlink.fleet.answer = unanswered  # type: ignore[method-assign]
    assert uplink.runs(RUN_ID)

    def ended(*_: object) -> Proto:
        raise RunNotRunningException

    superlink.fleet.answer = ended  # type: ignore[method-assign]
    assert not uplink.runs(RUN_ID)
