"""Messages as flwr makes them, for tests."""

from collections.abc import Mapping
from hashlib import sha256

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, MetricRecord, RecordDict
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE as CHUNK

from fl_edge.messages import Content, parts_of, read_content
from fl_edge.messages.objects import join
from tests.fl_edge.supernode.parts import objects_of, request

Objects = dict[str, bytes]


def records(**more: ArrayRecord | MetricRecord | ConfigRecord) -> RecordDict:
    """Return a round's records: a small model and a configuration."""
    arrays = ArrayRecord([np.arange(6, dtype=np.float32).reshape(2, 3), np.ones(4)])
    return RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": 1}), **more})


def read(content: RecordDict, *, strict: bool = True) -> Content:
    """Return records read back from their raw objects."""
    message = request(content)
    objects = objects_of(message)
    parts = parts_of(objects, message.object_id)
    root = parts[message.object_id].children[0]
    return read_content(objects, parts, root, chunk_size=CHUNK if strict else None)


def replaced(objects: Mapping[str, bytes], old: str, content: bytes) -> tuple[Objects, str]:
    """Put `content` in the place of object `old`, renaming all the way up to the root.

    Returns the objects and the id of the new root.
    """
    found, todo, new = {**objects, old: content}, [old], old
    while todo:
        old = todo.pop(0)
        content = found.pop(old)
        new = sha256(content).hexdigest()
        found[new] = content
        for key, value in list(found.items()):
            if old.encode() in value:
                found[key] = value.replace(old.encode(), new.encode())
                todo += [key] if key not in todo else []
    return found, new


def of_kind(objects: Mapping[str, bytes], kind: str) -> list[str]:
    """Return the ids of all objects of a kind."""
    return [key for key, value in objects.items() if value.startswith(kind.encode() + b" ")]


def body(content: bytes) -> bytes:
    """Return an object's body."""
    return content[content.index(b"\x00") + 1 :]


def with_body(content: bytes, new: bytes) -> bytes:
    """Return an object with another body and a head that fits."""
    kind, children, _ = content[: content.index(b"\x00")].decode().split(" ")
    return join(kind, tuple(children.split(",")) if children else (), new)[1]
