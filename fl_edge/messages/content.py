"""What a message holds, read once and strictly: the input of digest, policy and decision."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fl_edge.messages.npy import NpyHeader, read_header
from fl_edge.messages.objects import (
    MalformedMessageError,
    Objects,
    Part,
    canonical_json,
    references,
)
from fl_edge.messages.values import RecordValue, read_values

NUMPY = "numpy.ndarray"
MAX_NAME = 256


@dataclass(frozen=True, slots=True)
class ArrayView:
    """One array of a message; `chunks` are views of its npy bytes, header included."""

    name: str
    header: NpyHeader
    chunks: tuple[memoryview, ...]

    @property
    def dtype(self) -> str:
        """Return the dtype in little-endian spelling, for example ``<f4``."""
        return self.header.dtype.newbyteorder("<").str

    @property
    def shape(self) -> tuple[int, ...]:
        """Return the shape."""
        return self.header.shape

    def payload(self) -> Iterator[memoryview]:
        """Yield the bytes behind the header."""
        skip = self.header.offset
        for chunk in self.chunks:
            if skip < len(chunk):
                yield chunk[skip:]
            skip = max(0, skip - len(chunk))


@dataclass(frozen=True, slots=True)
class Arrays:
    """An ArrayRecord of a message."""

    name: str
    arrays: tuple[ArrayView, ...]

    @property
    def shapes(self) -> tuple[tuple[str, str, tuple[int, ...]], ...]:
        """Return (name, dtype, shape) of every array, in order."""
        return tuple((array.name, array.dtype, array.shape) for array in self.arrays)


@dataclass(frozen=True, slots=True)
class Values:
    """A MetricRecord or a ConfigRecord of a message."""

    name: str
    kind: str
    items: tuple[tuple[str, RecordValue], ...]


@dataclass(frozen=True, slots=True)
class Content:
    """The records of a message in order; None of them where the message carries an error."""

    records: tuple[Arrays | Values, ...] = ()

    @property
    def arrays(self) -> tuple[Arrays, ...]:
        """Return the ArrayRecords."""
        return tuple(record for record in self.records if isinstance(record, Arrays))

    @property
    def values(self) -> tuple[Values, ...]:
        """Return the MetricRecords and ConfigRecords."""
        return tuple(record for record in self.records if isinstance(record, Values))

    def outline(self) -> "Content":
        """Return the same without the arrays' bytes: all that a reply is held against."""
        return Content(
            tuple(
                Arrays(record.name, tuple(replace(array, chunks=()) for array in record.arrays))
                if isinstance(record, Arrays)
                else record
                for record in self.records
            )
        )


def read_content(
    objects: Objects, parts: Mapping[str, Part], root: str, *, chunk_size: int | None = None
) -> Content:
    """Read the records below the RecordDict `root`.

    Parameters
    ----------
    objects, parts : mapping
        Bytes that hash to their ids, and the same split (`parts_of`).
    root : str
        Id of the RecordDict.
    chunk_size : int, optional
        What flwr cuts arrays into here. Where it is given (replies), any other cut is refused:
        the places of the cuts could carry data. Another version may cut requests differently.

    Raises
    ------
    MalformedMessageError
    """
    records: list[Arrays | Values] = []
    for name, object_id in references(parts[root]).items():
        part = parts[object_id]
        _check_name(name)
        if part.kind == "ArrayRecord":
            records.append(_arrays(name, parts, part, chunk_size))
        else:
            records.append(Values(name, part.kind, read_values(part, objects[object_id])))
    return Content(tuple(records))


def _check_name(name: str) -> None:
    if len(name) > MAX_NAME:
        raise MalformedMessageError(f"A name is longer than {MAX_NAME} characters.")


def _arrays(name: str, parts: Mapping[str, Part], record: Part, chunk_size: int | None) -> Arrays:
    arrays = []
    for array_name, object_id in references(record).items():
        _check_name(array_name)
        arrays.append(_array(array_name, parts, parts[object_id], chunk_size))
    return Arrays(name, tuple(arrays))


def _array(name: str, parts: Mapping[str, Part], part: Part, chunk_size: int | None) -> ArrayView:
    meta = canonical_json(part)
    if not isinstance(meta, dict) or list(meta) != ["dtype", "shape", "stype", "arraychunk_ids"]:
        raise MalformedMessageError("An Array says other things than flwr's.")
    order, dtype, shape = meta["arraychunk_ids"], meta["dtype"], meta["shape"]
    if meta["stype"] != NUMPY:
        raise MalformedMessageError("An array is not serialised by NumPy.")
    if not isinstance(order, list) or not all(
        type(at) is int and 0 <= at < len(part.children) for at in order
    ):
        raise MalformedMessageError("An Array names chunks that it has not got.")
    if list(dict.fromkeys(order)) != list(range(len(part.children))):
        raise MalformedMessageError("The chunks of an Array are not in flwr's own order.")
    chunks = tuple(parts[part.children[at]].body for at in order)
    if not chunks:
        raise MalformedMessageError("An array has no data.")
    if chunk_size is not None:
        _check_cuts(chunks, chunk_size)
    header = check_header(chunks, dtype, shape, strict=chunk_size is not None)
    return ArrayView(name, header, chunks)


def _check_cuts(chunks: tuple[memoryview, ...], chunk_size: int) -> None:
    if any(len(chunk) != chunk_size for chunk in chunks[:-1]) or len(chunks[-1]) > chunk_size:
        raise MalformedMessageError("An array is not cut in flwr's own way.")


def check_header(
    chunks: tuple[memoryview, ...], dtype: object, shape: object, *, strict: bool
) -> NpyHeader:
    """Return the npy header, held against the declaration and against the bytes that follow."""
    header = read_header(chunks[0])
    legacy = dtype == "" and shape == []  # what flwr's NumPyClient declares
    if not legacy and (str(header.dtype), list(header.shape)) != (dtype, shape):
        raise MalformedMessageError("The declared dtype or shape differs from the data.")
    if sum(map(len, chunks)) != header.offset + header.nbytes:
        raise MalformedMessageError("There are bytes missing from or behind an array.")
    if strict and header.dtype.newbyteorder("<") != header.dtype:
        raise MalformedMessageError("An array is in big-endian order.")
    return header
