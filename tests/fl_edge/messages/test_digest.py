"""The canonical digest: the same for equal content, another one for any change."""

import hashlib
import struct

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict

from fl_edge.messages import (
    arrays_digest,
    content_digest,
    message_digest,
    model_digest,
    record_digest,
)
from tests.fl_edge.messages.makers import read, records
from tests.fl_edge.supernode.parts import request


def by_hand(arrays: dict[str, np.ndarray], name: str = "arrays") -> str:
    """Return `model_digest` of one ArrayRecord, written down a second time from the definition."""

    def text(value: str) -> bytes:
        return struct.pack("<Q", len(value.encode())) + value.encode()

    parts = [b"datatoken/arrays/1\n", struct.pack("<Q", 1), text("ArrayRecord"), text(name)]
    parts.append(struct.pack("<Q", len(arrays)))
    for key, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        parts += [text(key), text(little.dtype.str), struct.pack("<Q", array.ndim)]
        parts.append(struct.pack(f"<{array.ndim}Q", *array.shape))
        parts += [struct.pack("<Q", little.nbytes), little.tobytes()]
    return "0x" + hashlib.sha256(b"".join(parts)).hexdigest()


def test_the_digest_is_what_its_definition_says() -> None:
    """Acceptance: 106."""
    arrays = {"w": np.arange(6.0).reshape(2, 3), "b": np.array(3, np.int16)}
    found = model_digest(RecordDict({"arrays": ArrayRecord(dict_of(arrays))}))
    assert found == by_hand(arrays)


def dict_of(arrays: dict[str, np.ndarray]) -> dict[str, object]:
    from flwr.app import Array

    return {name: Array(array) for name, array in arrays.items()}


def test_equal_for_all_members_of_a_round() -> None:
    """Two members get the same content in two messages: equal digests. Acceptance: 106."""
    first = request(records(), dst_node_id=1, created_at=1.7e9)
    second = request(records(), dst_node_id=2, created_at=1.8e9)
    assert first.object_id != second.object_id
    assert message_digest(first) == message_digest(second) == content_digest(read(records()))


def test_independent_of_flwrs_container(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another chunk size gives other object ids and the same digest."""
    from flwr.app.message import array

    def model() -> RecordDict:
        return RecordDict({"a": ArrayRecord([np.arange(1000.0)])})

    whole = model()
    expected, object_id = record_digest(whole), whole.object_id
    monkeypatch.setattr(array, "FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE", 1024)
    cut = model()
    assert cut.object_id != object_id
    assert record_digest(cut) == expected


def test_independent_of_byte_and_memory_order() -> None:
    plain = np.arange(12, dtype="<f4").reshape(3, 4)
    variants = [plain, plain.astype(">f4"), np.asfortranarray(plain)]
    digests = {record_digest(RecordDict({"a": ArrayRecord([v])})) for v in variants}
    assert len(digests) == 1


@pytest.mark.parametrize(
    "changed",
    [
        RecordDict({"arrays": ArrayRecord([np.zeros(6, "<f4")])}),
        RecordDict({"arrays": ArrayRecord([np.zeros((2, 3), "<f8")])}),
        RecordDict({"arrays": ArrayRecord([np.eye(2, 3, dtype="<f4")])}),
        RecordDict({"other": ArrayRecord([np.zeros((2, 3), "<f4")])}),
        RecordDict({"arrays": ArrayRecord([np.zeros((2, 3), "<f4")] * 2)}),
        RecordDict({"arrays": ArrayRecord([np.zeros((2, 3), "<f4")]), "m": MetricRecord()}),
        RecordDict({"arrays": ArrayRecord([np.zeros((2, 3), "<f4")]), "m": ConfigRecord()}),
    ],
)
def test_any_change_of_arrays_or_records_changes_it(changed: RecordDict) -> None:
    base = RecordDict({"arrays": ArrayRecord([np.zeros((2, 3), "<f4")])})
    assert record_digest(changed) != record_digest(base)


def test_types_of_values_are_part_of_it() -> None:
    """Parameters in a record are digested with their types and order."""
    values = [1, 1.0, True, "1", b"1", [1], [1.0], [True], ["1"], 2, -1]
    digests = [record_digest(RecordDict({"c": ConfigRecord({"k": v})})) for v in values]
    assert len(set(digests)) == len(values)
    pairs = [ConfigRecord({"a": 1, "b": 2}), ConfigRecord({"b": 2, "a": 1})]
    assert len({record_digest(RecordDict({"c": pair})) for pair in pairs}) == 2


def test_records_do_not_change_the_model_digest() -> None:
    plain, measured = records(), records(m=MetricRecord({"loss": 1.0}))
    assert arrays_digest(read(plain)) == arrays_digest(read(measured))
    assert content_digest(read(plain)) != content_digest(read(measured))


def test_two_ways_to_split_names_differ() -> None:
    """Everything is prefixed with its length: no two contents run together."""
    left = RecordDict({"ab": ConfigRecord({"c": "d"})})
    right = RecordDict({"a": ConfigRecord({"bc": "d"})})
    assert record_digest(left) != record_digest(right)
