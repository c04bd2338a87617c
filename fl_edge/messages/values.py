"""Metric and configuration records: protobuf bodies, read so that nothing hides in them."""

from flwr.app import ConfigRecord, MetricRecord

from fl_edge.messages.objects import MalformedMessageError, Part

Single = bool | int | float | str | bytes
RecordValue = Single | list[bool] | list[int] | list[float] | list[str] | list[bytes]

_CLASSES: dict[str, type[ConfigRecord] | type[MetricRecord]] = {
    "ConfigRecord": ConfigRecord,
    "MetricRecord": MetricRecord,
}


def read_values(part: Part, content: bytes) -> tuple[tuple[str, RecordValue], ...]:
    """Return the (key, value) pairs of a MetricRecord or ConfigRecord, in order.

    The record must encode to the same bytes again: no key twice, no unknown protobuf field,
    no other spelling of a number.

    Raises
    ------
    MalformedMessageError
    """
    try:
        record = _CLASSES[part.kind].inflate(content)
        same = record.deflate() == content
    except Exception:  # protobuf and flwr raise many unrelated types
        raise MalformedMessageError(f"A {part.kind} can't be read.") from None
    if not same:
        raise MalformedMessageError(f"A {part.kind} is not in flwr's own form.")
    return tuple(record.items())
