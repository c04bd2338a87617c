"""Strict reading of the npy header (NumPy's format, version 1.0 and 2.0).

NumPy's own reader accepts comments, any padding and trailing bytes, which is room to carry
data past a policy. Here one header means one array, and what follows is exactly its bytes.
"""

import ast
import struct
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from fl_edge.messages.objects import MalformedMessageError

MAGIC = b"\x93NUMPY"
KINDS = "biufc"
ALIGNMENT = 64
GROWTH = 22
"""NumPy leaves up to 21 blanks in a header, so that the first axis can grow in place."""
MAX_HEADER = 4096


@dataclass(frozen=True, slots=True)
class NpyHeader:
    """What an npy header says, and where the payload starts."""

    dtype: np.dtype[np.generic]
    fortran: bool
    shape: tuple[int, ...]
    offset: int

    @property
    def nbytes(self) -> int:
        """Return the length of the payload."""
        count = 1
        for size in self.shape:
            count *= size
        return count * self.dtype.itemsize


def read_header(data: memoryview) -> NpyHeader:
    """Read the header at the start of `data`.

    Raises
    ------
    MalformedMessageError
        For anything that `numpy.save` would not have written.
    """
    prefix = bytes(data[:12])
    if len(prefix) < 12 or prefix[:6] != MAGIC or prefix[6:8] not in (b"\x01\x00", b"\x02\x00"):
        raise MalformedMessageError("An array is not in npy format.")
    if prefix[6] == 1:
        length, start = struct.unpack("<H", prefix[8:10])[0], 10
    else:
        length, start = struct.unpack("<I", prefix[8:12])[0], 12
    if length > MAX_HEADER or start + length > len(data):
        raise MalformedMessageError("The npy header of an array is too long.")
    return _header(bytes(data[start : start + length]), start + length)


@lru_cache(maxsize=1024)
def _header(text: bytes, end: int) -> NpyHeader:
    """Parse a header's text, once for all arrays of the same dtype and shape."""
    descr, fortran, shape = _literal(text, end)
    try:
        dtype = np.dtype(descr)
    except TypeError:
        raise MalformedMessageError("The npy header of an array names no dtype.") from None
    if dtype.kind not in KINDS or dtype.str != descr:
        raise MalformedMessageError("The dtype of an array is not a plain number.")
    return NpyHeader(dtype, fortran, shape, end)


def _literal(text: bytes, end: int) -> tuple[str, bool, tuple[int, ...]]:
    """Parse the header's text; only as many blanks as NumPy writes may follow it."""
    try:
        parsed = ast.literal_eval(text.decode("ascii").strip(" \n"))
        descr, fortran, shape = parsed["descr"], parsed["fortran_order"], parsed["shape"]
        keys = set(parsed)
    except (ValueError, SyntaxError, TypeError, KeyError, RecursionError, MemoryError):
        raise MalformedMessageError("The npy header of an array can't be read.") from None
    if (
        keys != {"descr", "fortran_order", "shape"}
        or not isinstance(descr, str)
        or not isinstance(fortran, bool)
        or not isinstance(shape, tuple)
        or not all(type(size) is int and 0 <= size < 2**48 for size in shape)
    ):
        raise MalformedMessageError("The npy header of an array says something else.")
    written = f"{{'descr': {descr!r}, 'fortran_order': {fortran!r}, 'shape': {shape!r}, }}"
    blanks = len(text) - len(written) - 1
    canonical = written.encode("ascii") + b" " * max(blanks, 0) + b"\n"
    if text != canonical or blanks >= ALIGNMENT + GROWTH or end % ALIGNMENT:
        raise MalformedMessageError("The npy header of an array hides something.")
    return descr, fortran, shape
