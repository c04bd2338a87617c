"""What the SuperLink sees of rounds, on messages as flwr itself makes them."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.app.message.message import make_message
from flwr.app.metadata import Metadata
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from datatoken.types import MessageKind
from fl_edge.messages.digest import record_digest
from fl_edge.superlink.gate import Outgoing
from fl_edge.superlink.watch import Named, RoundWatch

RUN = 4711


class Link:
    """The objects of a SuperLink, and a watch over them."""

    def __init__(self) -> None:
        self.named: list[Named] = []
        self.watch = RoundWatch(self.named.append)
        self.objects: dict[str, bytes] = {}

    def send(self, message: Message, number: int = 1, *, upload: bool = True) -> str:
        """Store a message as flwr does: first the envelope, then object by object."""
        found = {key: value.deflate() for key, value in get_all_nested_objects(message).items()}
        message_id = message.metadata.message_id
        outgoing = Outgoing(
            run=RUN,
            kind=MessageKind(message.metadata.message_type),
            session="s",
            content=message.content.object_id,
            node=message.metadata.dst_node_id,
        )
        missing = set(found) - set(self.objects)
        self.watch.sent(number, message_id, outgoing, set(found), missing, self.objects.get)
        if upload:
            for object_id in missing:
                self.arrive(object_id, found[object_id])
        return message_id

    def arrive(self, object_id: str, content: bytes) -> None:
        self.objects[object_id] = content
        self.watch.stored(object_id, self.objects.get)


def content(value: float = 0.0) -> RecordDict:
    arrays = ArrayRecord([np.full((3, 2), value, np.float32)])
    return RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1})})


def message(node: int, kind: str = "train", records: RecordDict | None = None) -> Message:
    metadata = Metadata(
        run_id=RUN,
        message_id="",
        src_node_id=1,
        dst_node_id=node,
        reply_to_message_id="",
        group_id="",
        created_at=1_800_000_000.0,
        ttl=3600,
        message_type=kind,
    )
    made = make_message(metadata=metadata, content=records or content())
    made.metadata.__dict__["_message_id"] = made.object_id
    return made


@pytest.fixture
def link() -> Link:
    return Link()


def test_round_is_named_by_the_canonical_digest_and_the_number_of_members(link: Link) -> None:
    for node in (10, 11, 12):
        link.send(message(node))

    expected = Named(RUN, MessageKind.TRAIN, record_digest(content()), 3)
    assert link.named[-1] == expected


def test_round_is_not_named_before_its_objects_are_here(link: Link) -> None:
    link.send(message(10), upload=False)

    assert link.named == []


def test_members_that_get_different_content_are_named_apart(link: Link) -> None:
    link.send(message(10, records=content(1.0)))
    link.send(message(11, records=content(2.0)))

    last = {named.input: named.expected for named in link.named}
    assert last == {record_digest(content(1.0)): 1, record_digest(content(2.0)): 1}


def test_member_that_refuses_is_expected_no_longer(link: Link) -> None:
    """So that the recorder need not wait for its time-out. Acceptance: 105."""
    ids = [link.send(message(node)) for node in (10, 11, 12)]

    link.watch.replied(ids[0], "refused by data owner: GRANT_REVOKED: it was.")
    link.watch.replied(ids[1], None)

    assert link.named[-1].expected == 2


def test_answer_that_comes_twice_counts_once(link: Link) -> None:
    ids = [link.send(message(node)) for node in (10, 11)]

    for _ in range(3):
        link.watch.replied(ids[0], None)

    found = link.watch.shortfall(RUN, 2, finished=True)
    assert found is not None
    assert (found.contributed, found.sent) == (1, 2)


def test_too_few_have_contributed(link: Link) -> None:
    """Acceptance: 105."""
    ids = [link.send(message(node)) for node in (10, 11, 12)]
    link.watch.replied(ids[0], "no")
    link.watch.replied(ids[1], "no")

    assert link.watch.shortfall(RUN, 2, finished=False) is None
    link.watch.replied(ids[2], None)

    found = link.watch.shortfall(RUN, 2, finished=False)
    assert found is not None
    assert (found.contributed, found.minimum, found.reasons) == (1, 2, ("no", "no"))
    assert link.watch.shortfall(RUN, 1, finished=True) is None
    assert link.watch.shortfall(RUN + 1, 9, finished=True) is None


def test_answers_that_never_came_are_missing_at_the_end(link: Link) -> None:
    for node in (10, 11):
        link.send(message(node))

    assert link.watch.shortfall(RUN, 1, finished=False) is None
    assert link.watch.shortfall(RUN, 1, finished=True) is not None


def test_old_round_with_equal_input_is_another_round(link: Link) -> None:
    first = link.send(message(10), number=1)
    link.watch.replied(first, "no")

    link.send(message(10), number=2)

    assert link.named[-1].expected == 1


def test_malformed_objects_are_not_named_and_end_nothing(link: Link) -> None:
    made = message(10)
    found = {key: value.deflate() for key, value in get_all_nested_objects(made).items()}
    link.send(made, upload=False)

    for object_id in found:
        link.arrive(object_id, b"ArrayChunk  7\x00garbage")

    assert link.named == []


def test_memory_is_bounded(link: Link) -> None:
    for number in range(600):
        link.send(message(10 + number), number=number)

    assert len(link.watch._rounds) <= 256
    assert len(link.watch._by_message) <= 256
