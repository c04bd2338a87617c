"""Whole messages: open one from its objects, compare its metadata, make the reply's root.

The envelope is what a SuperLink or an app says about a message; the root object is what the
message says itself. They have to agree, and a reply has to answer its request.
"""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass

from flwr.app import Error, Message, RecordDict
from flwr.app.message.message import make_message
from flwr.app.metadata import Metadata
from flwr.common.serde_utils import metadata_to_proto
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.message_pb2 import ObjectTree

from datatoken.types import MessageKind
from fl_edge.messages.content import Content, read_content
from fl_edge.messages.objects import (
    MalformedMessageError,
    Objects,
    Part,
    check_ids,
    join,
    parts_of,
    tree_of,
)

FIELDS = (
    "run_id",
    "src_node_id",
    "dst_node_id",
    "reply_to_message_id",
    "group_id",
    "created_at",
    "ttl",
    "message_type",
    "src_task_id",
    "dst_task_id",
)
DERIVED_FIELDS = tuple(name for name in FIELDS if name not in ("created_at", "ttl"))
MAX_GROUP_ID = 64


@dataclass(frozen=True, slots=True)
class Opened:
    """A message that was read completely.

    Attributes
    ----------
    message : Message
        Metadata and error as the root object says them; its content is left empty.
    content : Content
        The records.
    tree : ObjectTree
        The tree that the objects themselves describe.
    """

    message: Message
    content: Content
    tree: ObjectTree


def open_message(
    objects: Objects, offered: set[str], root: str, *, chunk_size: int | None = None
) -> Opened:
    """Read a message from its objects; nothing in them is left unread.

    Parameters
    ----------
    objects : mapping
        Everything that was pulled or pushed.
    offered : set of str
        The ids that the tree from the wire named.
    root : str
        The message id.
    chunk_size : int, optional
        See `read_content`; given for replies.

    Raises
    ------
    MalformedMessageError
    """
    if set(objects) != offered or root not in objects:
        raise MalformedMessageError("The objects are not those of the object tree.")
    check_ids(objects)
    parts = parts_of(objects, root)
    message = _root(objects[root], parts[root])
    message.metadata.__dict__["_message_id"] = root
    content = Content()
    if not message.has_error():
        content = read_content(objects, parts, parts[root].children[0], chunk_size=chunk_size)
    return Opened(message, content, tree_of(parts, root))


def _root(content: bytes, part: Part) -> Message:
    body = bytes(part.body)
    try:
        proto = ProtoMessage.FromString(body)
        proto.DiscardUnknownFields()
        canonical = proto.SerializeToString(deterministic=True) == body
        children: Mapping[str, RecordDict] = {child: RecordDict() for child in part.children}
        message = Message.inflate(content, dict(children))
    except Exception:  # protobuf and flwr raise many unrelated types
        raise MalformedMessageError("The root of the message can't be read.") from None
    if not canonical or proto.HasField("content") or proto.metadata.message_id:
        raise MalformedMessageError("The root of the message is not in flwr's own form.")
    if message.has_error() == bool(part.children):
        raise MalformedMessageError("A message carries either content or an error.")
    return message


def differences(left: Metadata, right: Metadata, fields: tuple[str, ...] = FIELDS) -> list[str]:
    """Return the names of the fields in which two metadata differ (NaN differs from NaN)."""
    return [name for name in fields if getattr(left, name) != getattr(right, name)]


def reply_differences(reply: Metadata, request: Message) -> list[str]:
    """Return the fields in which `reply` is not the answer to `request`.

    Creation time and time to live are the app's to choose; the gate writes its own.
    """
    expected = Message(Error(0), reply_to=request).metadata
    return differences(reply, expected, DERIVED_FIELDS)


def kind_of(metadata: Metadata) -> MessageKind:
    """Return the kind of a request: ``train.x`` is ``train``.

    Raises
    ------
    MalformedMessageError
        Any other kind (``system``, ``reconnect``, …), or a group id that is no short text.
    """
    if len(metadata.group_id) > MAX_GROUP_ID:
        raise MalformedMessageError("The group id of the message is too long.")
    if metadata.reply_to_message_id:
        raise MalformedMessageError("The message is a reply.")
    try:
        return MessageKind(metadata.message_type.split(".")[0])
    except ValueError:
        raise MalformedMessageError("The message is neither train, evaluate nor query.") from None


def bare(message: Message) -> Message:
    """Return the envelope of a message: a copy of its metadata, its error, empty content."""
    metadata = copy(message.metadata)
    if message.has_error():
        return make_message(metadata=metadata, error=message.error)
    return make_message(metadata=metadata, content=RecordDict())


def reroot(
    opened: Opened, objects: Objects, request: Message
) -> tuple[Message, ObjectTree, Objects]:
    """Return (envelope, tree, objects) of a reply under a root that the gate has written.

    Every field of the root then follows from the request and the gate's clock.
    """
    records = opened.tree.children[0]
    reply = Message(RecordDict(), reply_to=request)
    proto = ProtoMessage(metadata=metadata_to_proto(reply.metadata))
    proto.metadata.message_id = ""
    body = proto.SerializeToString(deterministic=True)
    root, content = join("Message", (records.object_id,), body)
    reply.metadata.__dict__["_message_id"] = root
    rest = {key: value for key, value in objects.items() if key != opened.tree.object_id}
    return reply, ObjectTree(object_id=root, children=[records]), {**rest, root: content}
