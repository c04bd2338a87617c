r"""Raw objects of a Flower message: split, walk, rebuild the tree.

Flower moves a message as a tree of content-addressed objects (Message → RecordDict → records
→ Array → ArrayChunk). An object is ``<kind> <ids of children, comma> <length>\0<body>``, its id
is the sha256 of all its bytes. A tree that came over the wire is only a claim: what an object
says about its own children is what counts.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flwr.proto.message_pb2 import ObjectTree

from datatoken import strict_json
from datatoken.errors import BadInputError

DIVIDER = b"\x00"
MAX_OBJECTS = 10_000
MAX_NODES = 65_536
MAX_BYTES = 2 * 1024**3

CHILD_KINDS: Mapping[str, frozenset[str]] = {
    "Message": frozenset({"RecordDict"}),
    "RecordDict": frozenset({"ArrayRecord", "MetricRecord", "ConfigRecord"}),
    "ArrayRecord": frozenset({"Array"}),
    "Array": frozenset({"ArrayChunk"}),
    "MetricRecord": frozenset(),
    "ConfigRecord": frozenset(),
    "ArrayChunk": frozenset(),
}

Objects = Mapping[str, bytes]
"""Object id (64 hex digits) → the object's bytes."""


class MalformedMessageError(BadInputError):
    """A message is not in the one form that flwr itself would give it."""

    code = "MALFORMED_MESSAGE"


@dataclass(frozen=True, slots=True)
class Part:
    """One object, split. `body` is a view of the object's bytes, never a copy."""

    kind: str
    children: tuple[str, ...]
    body: memoryview


def split(content: bytes) -> Part:
    """Split an object's bytes; its head must be the canonical one.

    Raises
    ------
    MalformedMessageError
    """
    end = content.find(DIVIDER)
    try:
        kind, listed, _ = content[: max(end, 0)].decode("ascii").split(" ")
    except ValueError:
        raise MalformedMessageError("An object has no head.") from None
    children = tuple(listed.split(",")) if listed else ()
    body = memoryview(content)[end + 1 :]
    if kind not in CHILD_KINDS:
        raise MalformedMessageError("An object is of an unknown kind.")
    if not content.startswith(head(kind, children, len(body))):
        raise MalformedMessageError(f"The head of a {kind} is not canonical.")
    if not all(is_object_id(child) for child in children):
        raise MalformedMessageError(f"A {kind} names a child that is no object id.")
    if len(set(children)) != len(children):
        raise MalformedMessageError(f"A {kind} names a child twice.")
    return Part(kind, children, body)


def head(kind: str, children: tuple[str, ...], length: int) -> bytes:
    """Return the canonical head of an object, with the divider."""
    return f"{kind} {','.join(children)} {length}".encode("ascii") + DIVIDER


def join(kind: str, children: tuple[str, ...], body: bytes) -> tuple[str, bytes]:
    """Return (id, bytes) of an object."""
    content = head(kind, children, len(body)) + body
    return hashlib.sha256(content).hexdigest(), content


def is_object_id(text: str) -> bool:
    """Tell whether `text` is a sha256 in lower-case hex."""
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def check_ids(objects: Objects) -> None:
    """Refuse any object whose bytes do not hash to its id.

    Raises
    ------
    MalformedMessageError
    """
    for object_id, content in objects.items():
        if hashlib.sha256(content).hexdigest() != object_id:
            raise MalformedMessageError("The content of an object does not match its id.")


def offered_ids(tree: ObjectTree) -> set[str]:
    """Return the ids that a tree from the wire names; bounded, without recursion.

    Raises
    ------
    MalformedMessageError
        More than `MAX_NODES` nodes, or `MAX_OBJECTS` different ones.
    """
    found: set[str] = set()
    todo, nodes = [tree], 0
    while todo:
        node = todo.pop()
        nodes += 1
        if not is_object_id(node.object_id):
            raise MalformedMessageError("The object tree names something that is no object id.")
        found.add(node.object_id)
        todo.extend(node.children)
        if nodes + len(todo) > MAX_NODES or len(found) > MAX_OBJECTS:
            raise MalformedMessageError("The object tree is too large.")
    return found


def parts_of(objects: Objects, root: str) -> dict[str, Part]:
    """Split everything reachable from `root`, which must be all of `objects`.

    Sharing makes the tree larger than the set of objects: 10,000 objects can stand for
    10¹⁰ nodes. Nodes and bytes are bounded as they would be expanded.

    Raises
    ------
    MalformedMessageError
        A child is missing or of the wrong kind, an object is not reachable, a bound is broken.
    """
    parts = {object_id: split(content) for object_id, content in objects.items()}
    if root not in parts or parts[root].kind != "Message":
        raise MalformedMessageError("The root of the object tree is no message.")
    sizes: dict[str, tuple[int, int]] = {}

    def measure(object_id: str) -> tuple[int, int]:
        if object_id in sizes:
            return sizes[object_id]
        part = parts[object_id]
        nodes, length = 1, len(part.body)
        for child in part.children:
            if child not in parts or parts[child].kind not in CHILD_KINDS[part.kind]:
                raise MalformedMessageError(f"A child of a {part.kind} is missing or misplaced.")
            below = measure(child)
            nodes, length = nodes + below[0], length + below[1]
        if nodes > MAX_NODES or length > MAX_BYTES:
            raise MalformedMessageError("The message is too large.")
        sizes[object_id] = nodes, length
        return sizes[object_id]

    measure(root)
    if len(sizes) != len(parts):
        raise MalformedMessageError("The object tree names objects that the message does not.")
    return parts


def tree_of(parts: Mapping[str, Part], root: str) -> ObjectTree:
    """Return the tree that the objects themselves describe (`parts_of` has bounded it)."""
    children = [tree_of(parts, child) for child in parts[root].children]
    return ObjectTree(object_id=root, children=children)


def canonical_json(part: Part) -> Any:
    """Parse the JSON body of an object, refusing any other spelling than flwr's own.

    Raises
    ------
    MalformedMessageError
    """
    body = bytes(part.body)
    try:
        parsed = strict_json.loads(body)
        same = json.dumps(parsed).encode() == body
    except (ValueError, RecursionError):
        raise MalformedMessageError(f"The body of a {part.kind} is no JSON.") from None
    if not same:
        raise MalformedMessageError(f"The JSON of a {part.kind} is not in flwr's own form.")
    return parsed


def references(part: Part) -> dict[str, str]:
    """Return name → object id of a RecordDict or an ArrayRecord, in order.

    Raises
    ------
    MalformedMessageError
        The names do not use exactly the children, in the order of first use.
    """
    parsed = canonical_json(part)
    if not isinstance(parsed, dict) or not all(isinstance(v, str) for v in parsed.values()):
        raise MalformedMessageError(f"The body of a {part.kind} maps no names to objects.")
    if tuple(dict.fromkeys(parsed.values())) != part.children:
        raise MalformedMessageError(f"The names of a {part.kind} do not match its children.")
    return parsed
