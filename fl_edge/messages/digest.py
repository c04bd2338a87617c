"""Canonical digests of what a message holds: equal content, equal digest, on any version of flwr.

An object id depends on flwr's container (chunk size, JSON, protobuf). The canonical digest
depends on the content only::

    content := tag ‖ n ‖ record*            records in the message's order
    record  := kind ‖ name ‖ n ‖ (array | value)*
    array   := name ‖ dtype ("<f4") ‖ shape ‖ bytes, little-endian, C order
    value   := name ‖ type ‖ bytes          lists: type ‖ n ‖ (type ‖ bytes)*

Texts and bytes are prefixed with their length, all lengths and counts are 8 bytes, little-endian.
So the digests of a FedAvg round's inputs are equal at all members.
"""

import hashlib
import struct
from typing import Protocol

import numpy as np
from flwr.app import Message, RecordDict
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects

from datatoken.types import Hex32
from fl_edge.messages.content import Arrays, ArrayView, Content, Values, read_content
from fl_edge.messages.objects import join, parts_of
from fl_edge.messages.values import RecordValue

TAG = b"datatoken/message/1\n"
ARRAYS_TAG = b"datatoken/arrays/1\n"


class _Hash(Protocol):
    def update(self, data: bytes | memoryview, /) -> None: ...


def content_digest(content: Content) -> Hex32:
    """Return the canonical digest of all records of a message."""
    return _digest(TAG, content.records)


def arrays_digest(content: Content) -> Hex32:
    """Return the canonical digest of the tensors alone: the identity of a model."""
    return _digest(ARRAYS_TAG, content.arrays)


def record_digest(records: RecordDict) -> Hex32:
    """Return the canonical digest of records in memory (`content_digest` of a message of them)."""
    return content_digest(_content_in_memory(records))


def model_digest(records: RecordDict) -> Hex32:
    """Return `arrays_digest` of records in memory, for example of an aggregate."""
    return arrays_digest(_content_in_memory(records))


def message_digest(message: Message) -> Hex32:
    """Return the canonical digest of a message in memory; it must have content."""
    return record_digest(message.content)


def _content_in_memory(records: RecordDict) -> Content:
    objects = {key: value.deflate() for key, value in get_all_nested_objects(records).items()}
    root, content = join("Message", (records.object_id,), b"")
    objects[root] = content
    return read_content(objects, parts_of(objects, root), records.object_id)


def _digest(tag: bytes, records: tuple[Arrays | Values, ...]) -> Hex32:
    state = hashlib.sha256(tag)
    state.update(_number(len(records)))
    for record in records:
        _text(state, "ArrayRecord" if isinstance(record, Arrays) else record.kind)
        _text(state, record.name)
        if isinstance(record, Arrays):
            state.update(_number(len(record.arrays)))
            for array in record.arrays:
                _array(state, array)
        else:
            state.update(_number(len(record.items)))
            for name, value in record.items:
                _text(state, name)
                _value(state, value)
    return "0x" + state.hexdigest()


def _number(number: int) -> bytes:
    return struct.pack("<Q", number)


def _bytes(state: _Hash, content: bytes) -> None:
    state.update(_number(len(content)))
    state.update(content)


def _text(state: _Hash, text: str) -> None:
    _bytes(state, text.encode())


def _array(state: _Hash, array: ArrayView) -> None:
    header = array.header
    _text(state, array.name)
    _text(state, array.dtype)
    state.update(_number(len(array.shape)))
    state.update(struct.pack(f"<{len(array.shape)}Q", *array.shape))
    state.update(_number(header.nbytes))
    little = header.dtype.newbyteorder("<") == header.dtype
    if little and (not header.fortran or len(array.shape) < 2):
        for view in array.payload():
            state.update(view)
        return
    flat = np.frombuffer(b"".join(array.payload()), header.dtype)
    shaped = flat.reshape(array.shape, order="F" if header.fortran else "C")
    plain = np.ascontiguousarray(shaped, header.dtype.newbyteorder("<"))
    state.update(plain.tobytes())


def _value(state: _Hash, value: RecordValue) -> None:
    if isinstance(value, list):
        _text(state, "list")
        state.update(_number(len(value)))
        for item in value:
            _value(state, item)
    elif isinstance(value, bool):
        _text(state, "bool")
        state.update(b"\x01" if value else b"\x00")
    elif isinstance(value, int):
        _text(state, "int")
        _text(state, str(value))
    elif isinstance(value, float):
        _text(state, "float")
        state.update(struct.pack("<d", value))
    elif isinstance(value, str):
        _text(state, "str")
        _text(state, value)
    else:
        _text(state, "bytes")
        _bytes(state, value)
