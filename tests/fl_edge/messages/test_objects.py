"""Raw objects: what is offered, what the objects say themselves, and what hides between."""

import json

import numpy as np
import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as CHUNK
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_object_tree

from fl_edge.messages import MalformedMessageError, offered_ids, parts_of, tree_of
from fl_edge.messages.envelope import open_message
from fl_edge.messages.objects import MAX_NODES, Part, canonical_json, join
from tests.fl_edge.messages.makers import body, of_kind, records, replaced, with_body
from tests.fl_edge.supernode.parts import objects_of, request


def opened(objects: dict[str, bytes], root: str) -> None:
    open_message(objects, set(objects), root, chunk_size=CHUNK)


def test_a_message_of_flwr_is_read_and_its_tree_is_its_own() -> None:
    """The tree that the objects describe is the one that flwr makes. Acceptance: 103."""
    message = request(records())
    objects = objects_of(message)
    found = open_message(objects, offered_ids(get_object_tree(message)), message.object_id)
    assert found.tree == get_object_tree(message)
    assert found.message.metadata.message_id == message.object_id
    assert found.content.arrays[0].shapes == (("0", "<f4", (2, 3)), ("1", "<f8", (4,)))


def test_content_that_does_not_hash_to_its_id() -> None:
    """Threat: wrong bytes for an id. Acceptance: 103."""
    message = request(records())
    objects = objects_of(message)
    victim = of_kind(objects, "ArrayChunk")[0]
    objects[victim] += b"x"
    with pytest.raises(MalformedMessageError, match="does not match its id"):
        opened(objects, message.object_id)


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deeply_nested_json_does_not_end_the_process(opening: bytes) -> None:
    """Python's parser would overflow the stack (SIGSEGV), and no gate would be left."""
    part = Part("RecordDict", (), memoryview(opening * 200_000))
    with pytest.raises(MalformedMessageError, match="no JSON"):
        canonical_json(part)


def test_objects_that_the_message_does_not_name() -> None:
    """An object beside the message is refused: it would be carried along unread."""
    message = request(records())
    stray, content = join("ArrayChunk", (), b"carried along")
    with pytest.raises(MalformedMessageError, match="does not"):
        opened({**objects_of(message), stray: content}, message.object_id)


def test_a_child_that_was_not_offered() -> None:
    message = request(records())
    objects = objects_of(message)
    del objects[of_kind(objects, "ArrayChunk")[0]]
    with pytest.raises(MalformedMessageError, match="missing"):
        opened(objects, message.object_id)


def test_objects_and_offered_tree_disagree() -> None:
    message = request(records())
    objects = objects_of(message)
    with pytest.raises(MalformedMessageError, match="object tree"):
        open_message(objects, set(objects) - {message.object_id}, message.object_id)


@pytest.mark.parametrize("name", ["", "A" * 64, "0" * 63, "../" + "0" * 61])
def test_a_tree_of_things_that_are_no_ids(name: str) -> None:
    with pytest.raises(MalformedMessageError):
        offered_ids(ObjectTree(object_id="0" * 64, children=[ObjectTree(object_id=name)]))


def test_a_tree_that_is_too_large() -> None:
    leaf = ObjectTree(object_id="0" * 64)
    with pytest.raises(MalformedMessageError, match="too large"):
        offered_ids(ObjectTree(object_id="1" * 64, children=[leaf] * (MAX_NODES + 1)))


def test_few_objects_that_stand_for_millions() -> None:
    """Sharing can't blow the message up: 301 objects would be read as 10⁷ chunks."""
    chunk, chunk_bytes = join("ArrayChunk", (), b"x")
    objects, arrays = {chunk: chunk_bytes}, []
    for number in range(300):
        array, content = join("Array", (chunk,), str(number).encode())
        objects[array] = content
        arrays.append(array)
    records_ = []
    for number in range(300):
        record, content = join("ArrayRecord", tuple(arrays), str(number).encode())
        objects[record] = content
        records_.append(record)
    top, content = join("RecordDict", tuple(records_), b"")
    objects[top] = content
    root, content = join("Message", (top,), b"")
    with pytest.raises(MalformedMessageError, match="too large"):
        parts_of({**objects, root: content}, root)


@pytest.mark.parametrize(
    ("kind", "change"),
    [
        ("RecordDict", lambda text: text.replace(b": ", b":")),
        ("RecordDict", lambda text: text.replace(b"{", b'{"arrays": "x", ')),
        ("Array", lambda text: text.replace(b"{", b"{ ")),
        ("Array", lambda text: text.replace(b'"stype"', b'"note": 1, "stype"')),
        ("Array", lambda text: text.replace(b'"float', b'"\\u0066loat')),
        ("ArrayRecord", lambda text: text + b" "),
    ],
)
def test_bytes_hidden_in_json(kind: str, change: object) -> None:
    """Another spelling of the same JSON is room for data. Acceptance: 80."""
    message = request(records())
    objects = objects_of(message)
    victim = of_kind(objects, kind)[0]
    text = change(body(objects[victim]))  # type: ignore[operator]
    assert text != body(objects[victim])
    changed, root = replaced(objects, victim, with_body(objects[victim], text))
    with pytest.raises(MalformedMessageError):
        opened(changed, root)


@pytest.mark.parametrize(
    "head",
    [b"MetricRecord  0005", b"MetricRecord  +5", b"metricrecord  5", b"MetricRecord 5", b"x"],
)
def test_bytes_hidden_in_a_head(head: bytes) -> None:
    message = request(RecordDict({"m": MetricRecord({"a": 1.0})}))
    objects = objects_of(message)
    victim = of_kind(objects, "MetricRecord")[0]
    changed, root = replaced(objects, victim, head + b"\x00" + body(objects[victim]))
    with pytest.raises(MalformedMessageError):
        opened(changed, root)


@pytest.mark.parametrize("hidden", [b"\x9a\x06\x05hello", b"\x0a\x00"])
def test_bytes_hidden_in_protobuf(hidden: bytes) -> None:
    """Unknown fields and repeated keys of a record are refused. Acceptance: 80."""
    message = request(RecordDict({"m": MetricRecord({"a": 1.0})}))
    objects = objects_of(message)
    victim = of_kind(objects, "MetricRecord")[0]
    longer = with_body(objects[victim], body(objects[victim]) + hidden)
    changed, root = replaced(objects, victim, longer)
    with pytest.raises(MalformedMessageError):
        opened(changed, root)


def test_bytes_hidden_in_the_root() -> None:
    message = request(records())
    objects = objects_of(message)
    content = with_body(
        objects[message.object_id], body(objects[message.object_id]) + b"\x9a\x06\x05hello"
    )
    changed, root = replaced(objects, message.object_id, content)
    with pytest.raises(MalformedMessageError, match="root"):
        opened(changed, root)


def test_data_in_the_places_of_cuts() -> None:
    """A reply is cut where flwr cuts; a request may be cut by another version. Acceptance: 80."""
    data = np.zeros(40, np.float32)
    message = request(RecordDict({"a": ArrayRecord([data])}))
    objects = objects_of(message)
    array, chunk = of_kind(objects, "Array")[0], of_kind(objects, "ArrayChunk")[0]
    raw = body(objects[chunk])
    halves = [join("ArrayChunk", (), raw[:200]), join("ArrayChunk", (), raw[200:])]
    meta = json.loads(body(objects[array])) | {"arraychunk_ids": [0, 1]}
    cut = join("Array", tuple(key for key, _ in halves), json.dumps(meta).encode())[1]
    del objects[chunk]
    changed, root = replaced({**objects, **dict(halves)}, array, cut)
    open_message(changed, set(changed), root)
    with pytest.raises(MalformedMessageError, match="cut"):
        open_message(changed, set(changed), root, chunk_size=CHUNK)


def test_tree_of_is_the_tree_of_the_objects() -> None:
    message = request(records())
    parts = parts_of(objects_of(message), message.object_id)
    assert tree_of(parts, message.object_id) == get_object_tree(message)
