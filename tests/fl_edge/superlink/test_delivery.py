"""Messages that were lost on the way, against flwr's own handlers and state."""

from types import SimpleNamespace
from typing import Any

import pytest
from flwr.app import Message
from flwr.common.constant import HEARTBEAT_DEFAULT_INTERVAL, Status
from flwr.common.serde import message_to_proto
from flwr.proto.fleet_pb2 import PullMessagesRequest, PullMessagesResponse
from flwr.proto.message_pb2 import ConfirmMessageReceivedRequest
from flwr.proto.node_pb2 import Node

from fl_edge.messages.envelope import bare
from fl_edge.superlink.delivery import GRACE_SECONDS, MAX_TIMES, Delivery
from tests.fl_edge.messages.makers import records
from tests.fl_edge.supernode.parts import NODE_ID, RUN_ID, request

STORE = None


class Link:
    """A SuperLink's handlers: they hand each message over once."""

    def __init__(self) -> None:
        self.queue: list[Message] = []
        self.status = Status.RUNNING
        self.heard: list[float] = []
        self.fleet: Any = SimpleNamespace(
            pull_messages=self._pull, confirm_message_received=lambda *_: None
        )
        link = self

        class State:
            def activate_node(self, node_id: int, heartbeat_interval: float) -> bool:
                link.heard.append(heartbeat_interval)
                return True

            acknowledge_node_heartbeat = activate_node

            def get_run_info(self, run_ids: list[int]) -> list[Any]:
                return [SimpleNamespace(status=SimpleNamespace(status=link.status))]

        self.state = State()
        self.delivery = Delivery()
        self.delivery.install(self.fleet, [State])

    def _pull(self, request: Any, state: Any, store: Any) -> PullMessagesResponse:
        taken = self.queue[:1]
        del self.queue[:1]
        return PullMessagesResponse(messages_list=[message_to_proto(bare(m)) for m in taken])

    def pull(self) -> list[str]:
        """Pull as the node does; return the ids of messages."""
        asked = PullMessagesRequest(node=Node(node_id=NODE_ID))
        found = self.fleet.pull_messages(asked, self.state, STORE).messages_list
        return [message.metadata.message_id for message in found]

    def confirm(self, message_id: str) -> None:
        asked = ConfirmMessageReceivedRequest(
            node=Node(node_id=NODE_ID), run_id=RUN_ID, message_object_id=message_id
        )
        self.fleet.confirm_message_received(asked, self.state, STORE)


@pytest.fixture
def link() -> Link:
    """A SuperLink with two messages."""
    made = Link()
    made.queue = [request(records(), kind) for kind in ("train", "evaluate")]
    return made


def test_a_message_that_never_arrived_is_handed_over_again(link: Link) -> None:
    first = link.pull()

    assert link.pull() == first, "its answer was lost: the node asks again"


def test_a_message_that_has_arrived_comes_once(link: Link) -> None:
    first = link.pull()
    link.confirm(first[0])

    second = link.pull()

    assert second != first
    link.delivery.answered(second[0])
    assert link.pull() == []


def test_a_message_of_a_run_that_has_ended_is_dropped(link: Link) -> None:
    first = link.pull()
    link.status = Status.FINISHED

    assert first not in (link.pull(), link.pull())


def test_a_message_that_no_node_survives_does_not_come_for_ever(link: Link) -> None:
    link.queue = link.queue[:1]
    found = [link.pull() for _ in range(MAX_TIMES + 1)]

    assert all(found[:MAX_TIMES])
    assert found[-1] == []


def test_a_node_is_not_given_up_within_a_cut_of_thirty_seconds(link: Link) -> None:
    link.state.acknowledge_node_heartbeat(NODE_ID, HEARTBEAT_DEFAULT_INTERVAL)
    link.state.activate_node(NODE_ID, 1000.0)

    assert link.heard == [GRACE_SECONDS / 2, 1000.0]
