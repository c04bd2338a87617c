"""Records in memory, read as strictly as a message's, without hashing and without a trace.

flwr keeps the chunks of an array, views that can't be pickled, in the array itself once
anything has hashed it; Ray pickles a message for every client.
"""

from flwr.app import Array, ArrayRecord, RecordDict

from fl_edge.messages import Content, MalformedMessageError
from fl_edge.messages.content import MAX_NAME, NUMPY, Arrays, ArrayView, Values, check_header

CHUNKS = "_chunks"


def read_records(records: RecordDict) -> Content:
    """Return what records hold: all that decision and reply policy look at.

    Raises
    ------
    MalformedMessageError
    """
    return Content(tuple(_read(name, record) for name, record in records.items()))


def _read(name: str, record: object) -> Arrays | Values:
    if len(name) > MAX_NAME:
        raise MalformedMessageError(f"A name is longer than {MAX_NAME} characters.")
    if isinstance(record, ArrayRecord):
        return Arrays(name, tuple(_array(key, array) for key, array in record.items()))
    return Values(name, type(record).__name__, tuple(record.items()))  # type: ignore[attr-defined]


def _array(name: str, array: Array) -> ArrayView:
    if len(name) > MAX_NAME or array.stype != NUMPY:
        raise MalformedMessageError("An array has too long a name, or is not of NumPy.")
    chunks = (memoryview(array.data),)
    header = check_header(chunks, array.dtype, list(array.shape), strict=True)
    return ArrayView(name, header, chunks)


def make_portable(records: RecordDict) -> None:
    """Drop what flwr has kept in the arrays, so that they can be pickled."""
    for record in records.array_records.values():
        for array in record.values():
            array.__dict__.pop(CHUNKS, None)
