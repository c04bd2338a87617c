"""One exchange: what a request has to be like, and what its reply is held against."""

from dataclasses import dataclass, field

from flwr.app import Message
from flwr.common.constant import FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE

from datatoken.authorization.decision import Lease
from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import Hex32, Scalar
from fl_edge.messages import (
    Content,
    MalformedMessageError,
    ReplyWithheldError,
    check_reply,
)
from fl_edge.messages.envelope import Opened, differences, open_message, reply_differences
from fl_edge.supernode.refusals import AppFailedError


@dataclass(frozen=True)
class Asked:
    """A request that was handed over.

    Attributes
    ----------
    request : Message
        Its metadata, as its root object says them.
    outline : Content
        Its content without the bytes of arrays.
    digest : Hex32
        Canonical digest of its content.
    """

    request: Message
    outline: Content
    digest: Hex32
    lease: Lease


@dataclass
class Pending:
    """A reply whose objects are being collected."""

    asked: Asked
    envelope: Message
    ids: set[str]
    runtime: float
    objects: dict[str, bytes] = field(default_factory=dict)
    size: int = 0


def check_envelope(envelope: Message, message: Message, node_id: int) -> None:
    """Check that an envelope says what its message says, and that it is for this node.

    Raises
    ------
    Refused
        ENVELOPE_MISMATCH, or MALFORMED_MESSAGE for a request without content.
    """
    found = differences(envelope.metadata, message.metadata)
    if found:
        raise Refused(
            Reason.ENVELOPE_MISMATCH, f"Envelope and message differ in {', '.join(found)}."
        )
    if envelope.has_error() or message.has_error():
        raise Refused(Reason.MALFORMED_MESSAGE, "The message carries an error, not content.")
    if message.metadata.dst_node_id != node_id:
        raise Refused(Reason.ENVELOPE_MISMATCH, "The message is for another node.")


def records_of(content: Content) -> dict[str, dict[str, Scalar]]:
    """Return the metric and configuration records of a request, for the decision.

    Raises
    ------
    Refused
        PARAMETERS_OUTSIDE_TERMS: a list or bytes, for which no schema exists.
    """
    found: dict[str, dict[str, Scalar]] = {}
    for record in content.values:
        values = found.setdefault(record.name, {})
        for name, value in record.items:
            if isinstance(value, (list, bytes)):
                raise Refused(
                    Reason.PARAMETERS_OUTSIDE_TERMS,
                    f"The value {name!r} of record {record.name!r} is no bool, number or text.",
                )
            values[name] = value
    return found


def inspect_reply(pending: Pending) -> Opened:
    """Return a reply that may leave, or raise what keeps it here.

    Raises
    ------
    AppFailedError, ReplyWithheldError, MalformedMessageError
    """
    asked, envelope = pending.asked, pending.envelope
    opened = open_message(
        pending.objects,
        pending.ids,
        envelope.metadata.message_id,
        chunk_size=FLWR_PRIVATE_MAX_ARRAY_CHUNK_SIZE,
    )
    if opened.message.has_error():
        raise AppFailedError(opened.message.error)
    found = differences(envelope.metadata, opened.message.metadata)
    found += reply_differences(opened.message.metadata, asked.request)
    if found:
        raise ReplyWithheldError(
            "The metadata of a reply are those of its request.", ", ".join(found)
        )
    check_reply(asked.lease.replies, asked.lease.kind, asked.outline, opened.content)
    return opened


def unreadable(error: Exception) -> Refused:
    """Return the refusal of a reply that can't be read; its sentence says nothing of the reply."""
    why = error.message if isinstance(error, MalformedMessageError) else repr(error)
    return ReplyWithheldError("The reply is not in flwr's own form.", why)
