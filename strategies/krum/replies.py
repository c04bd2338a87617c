"""Leaves out replies that a rule can't use: flwr ends the run at the first one."""

from collections import Counter
from collections.abc import Iterable
from logging import WARNING

import numpy as np
from flwr.app import ArrayRecord, Message, RecordDict
from flwr.supercore import log

WEIGHT = "num-examples"


def usable(
    replies: Iterable[Message], sent: ArrayRecord | None = None, *, finite: bool = False
) -> list[Message]:
    """Return all errors, and the replies that can be aggregated with each other.

    Parameters
    ----------
    replies : iterable of Message
    sent : ArrayRecord, optional
        The arrays that were asked about, of whose names, types and shapes a reply's are; without
        them replies need no arrays.
    finite : bool
        Leave out replies with a number that is not finite.
    """
    found = list(replies)
    flaws = [None if reply.has_error() else flaw(reply.content, sent, finite) for reply in found]
    forms = [
        _form(reply.content) if why == "" else None for reply, why in zip(found, flaws, strict=True)
    ]
    counted = Counter(form for form in forms if form is not None).most_common(1)
    kept = []
    for reply, why, form in zip(found, flaws, forms, strict=True):
        if not why and form is not None and form != counted[0][0]:
            why = "its records or metrics have other names than most have"
        if why:
            log(WARNING, "The reply of node %d is left out: %s.", reply.metadata.src_node_id, why)
        else:
            kept.append(reply)
    return kept


def flaw(content: RecordDict, sent: ArrayRecord | None, finite: bool = False) -> str:
    """Return why a reply can't be used by itself, or nothing."""
    metrics = list(content.metric_records.values())
    if len(metrics) != 1:
        return "it has not one record of metrics"
    weight = metrics[0].get(WEIGHT)
    if isinstance(weight, list) or weight is None or not 0 < weight < 2**63:
        return "it names no number of rows above 0"
    if sent is None:
        return ""
    arrays = list(content.array_records.values())
    if len(arrays) != 1:
        return "it has not one record of arrays"
    try:
        values = {name: array.numpy() for name, array in arrays[0].items()}
    except Exception as error:  # whatever NumPy makes of bytes that are no array
        return f"its arrays can't be read ({type(error).__name__})"
    asked = [
        (name, a.dtype, a.shape) for name, a in zip(sent, sent.to_numpy_ndarrays(), strict=True)
    ]
    if [(name, value.dtype, value.shape) for name, value in values.items()] != asked:
        return "its arrays have other names, types or shapes than the model's"
    if finite and not all(np.isfinite(value).all() for value in values.values()):
        return "it has numbers that are not finite"
    return ""


def _form(content: RecordDict) -> tuple[object, ...]:
    """Return the names of a reply's records and metrics, and how long its lists are."""
    metrics = {
        (name, len(value) if isinstance(value, list) else None)
        for record in content.metric_records.values()
        for name, value in record.items()
    }
    return tuple(content.array_records), tuple(content.metric_records), frozenset(metrics)
