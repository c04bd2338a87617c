"""The reply policy: what may leave the owner's side.

A reply may hold the arrays that the rule allows, bounded finite numbers under declared or
plain names, and declared configuration values. Everything else is withheld. The sentence
that goes to the server says which rule was broken and never what the reply held: a refusal
must not carry the data that it withholds.
"""

import math
import re
from collections.abc import Iterable

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.operation import ReplyPolicy
from datatoken.types import MessageKind
from fl_edge.messages.content import Arrays, Content, Values
from fl_edge.messages.values import RecordValue

MAX_RECORDS = 8
RECORD_NAME = re.compile(r"[A-Za-z][\w.\-]{0,63}", re.ASCII)
METRIC_NAME = re.compile(r"[\w.\-/]{1,64}", re.ASCII)
INT_RANGE = range(-(2**63), 2**63)


class ReplyWithheldError(Refused):
    """A reply breaks its operation's policy.

    Parameters
    ----------
    rule : str
        A sentence about the rule; this goes to the server.
    detail : str
        What the reply held; this stays in the owner's log.
    """

    def __init__(self, rule: str, detail: str = "") -> None:
        super().__init__(Reason.REPLY_WITHHELD, rule)
        self.detail = detail


def check_reply(policy: ReplyPolicy, kind: MessageKind, request: Content, reply: Content) -> None:
    """Hold a reply's content against the policy of the operation that made it.

    Parameters
    ----------
    policy : ReplyPolicy
    kind : MessageKind
        Of the request that was answered.
    request, reply : Content

    Raises
    ------
    ReplyWithheldError
    """
    _check_arrays(policy, kind, request, reply)
    metrics = [record for record in reply.values if record.kind == "MetricRecord"]
    configs = [record for record in reply.values if record.kind == "ConfigRecord"]
    if len(metrics) + len(configs) > MAX_RECORDS:
        raise ReplyWithheldError(f"A reply holds at most {MAX_RECORDS} records beside arrays.")
    for record in reply.values:
        if not RECORD_NAME.fullmatch(record.name):
            raise ReplyWithheldError("The name of a record is not a plain one.", record.name)
    _check_metrics(policy, metrics)
    _check_configs(policy, configs)


def _check_arrays(policy: ReplyPolicy, kind: MessageKind, request: Content, reply: Content) -> None:
    rule = policy.array_rule(kind)
    if rule == "none" and reply.arrays:
        raise ReplyWithheldError(f"A reply to {kind.value} holds no arrays.")
    if rule == "input":
        expected = {record.name: record.shapes for record in request.arrays}
        for record in reply.arrays:
            if record.name not in expected:
                raise ReplyWithheldError("A reply holds only the array records of its request.")
            if record.shapes != expected[record.name]:
                raise ReplyWithheldError(
                    "The arrays have not the names, dtypes and shapes of the request.",
                    _brief(record),
                )
    if rule == "free":
        _check_free(policy, reply)


def _check_free(policy: ReplyPolicy, reply: Content) -> None:
    size = sum(array.header.nbytes for record in reply.arrays for array in record.arrays)
    if size > policy.max_bytes:
        raise ReplyWithheldError(
            f"The arrays of a reply have at most {policy.max_bytes} bytes.", f"{size} bytes"
        )
    count = sum(1 + len(record.arrays) for record in reply.arrays)
    if count > policy.max_scalars + 1:
        raise ReplyWithheldError("A reply holds too many arrays.", f"{count} names")
    names = [record.name for record in reply.arrays]
    names += [array.name for record in reply.arrays for array in record.arrays]
    if not all(METRIC_NAME.fullmatch(name) for name in names):
        raise ReplyWithheldError("The name of an array is not a plain one.")


def _check_metrics(policy: ReplyPolicy, records: list[Values]) -> None:
    items = [item for record in records for item in record.items]
    # An empty list is a name that leaves: it counts as one.
    scalars = sum(max(1, len(v)) if isinstance(v, list) else 1 for _, v in items)
    if scalars > policy.max_scalars:
        raise ReplyWithheldError(
            f"A reply holds at most {policy.max_scalars} metric values.", f"{scalars} values"
        )
    for name, value in items:
        if policy.metrics is not None and name not in policy.metrics:
            raise ReplyWithheldError("A metric's name is not declared by the operation.", name)
        if not METRIC_NAME.fullmatch(name):
            raise ReplyWithheldError("The name of a metric is not a plain one.", name)
        if not all(_is_finite(number) for number in _numbers(value)):
            raise ReplyWithheldError("A metric is not a finite number.", name)


def _check_configs(policy: ReplyPolicy, records: list[Values]) -> None:
    if records and not policy.config:
        raise ReplyWithheldError("The operation declares no ConfigRecord in its replies.")
    for record in records:
        for name, value in record.items:
            declared = policy.config.get(name)
            if declared is None:
                raise ReplyWithheldError("A configuration key is not declared.", name)
            if isinstance(value, (list, bytes)) or declared.violation(value) is not None:
                raise ReplyWithheldError("A configuration value is outside its schema.", name)
            if isinstance(value, (int, float)) and not _is_finite(value):
                raise ReplyWithheldError("A configuration value is not finite.", name)


def _numbers(value: RecordValue) -> Iterable[object]:
    return value if isinstance(value, list) else [value]


def _is_finite(number: object) -> bool:
    if isinstance(number, bool):
        return True
    if isinstance(number, int):
        return number in INT_RANGE
    return isinstance(number, float) and math.isfinite(number)


def _brief(record: Arrays) -> str:
    return ", ".join(f"{name} {dtype} {shape}" for name, dtype, shape in record.shapes[:3])
