"""Flower messages as bytes: strict reading, canonical digest, reply policy. Pure, no network."""

from fl_edge.messages.content import Arrays, ArrayView, Content, Values, read_content
from fl_edge.messages.digest import (
    arrays_digest,
    content_digest,
    message_digest,
    model_digest,
    record_digest,
)
from fl_edge.messages.objects import (
    MalformedMessageError,
    check_ids,
    offered_ids,
    parts_of,
    tree_of,
)
from fl_edge.messages.policy import ReplyWithheldError, check_reply

__all__ = [
    "ArrayView",
    "Arrays",
    "Content",
    "MalformedMessageError",
    "ReplyWithheldError",
    "Values",
    "arrays_digest",
    "check_ids",
    "check_reply",
    "content_digest",
    "message_digest",
    "model_digest",
    "offered_ids",
    "parts_of",
    "read_content",
    "record_digest",
    "tree_of",
]
