"""Looks for a table's values in bytes, in the forms that they could have left in."""

import base64
import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

WINDOW = 6
CHUNK = 4 * 1024 * 1024
FRACTION_BITS = 18
Floats = npt.NDArray[np.float64]


def read_rows(path: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Return the lines of a CSV file, and its columns as texts."""
    lines = path.read_text().splitlines()
    rows = list(csv.reader(lines))
    return lines[1:], {name: [row[i] for row in rows[1:]] for i, name in enumerate(rows[0])}


def needles(path: Path, encoded: Iterable[Floats] = ()) -> Iterator[bytes]:
    """Yield what a table's rows and columns look like in bytes.

    Parameters
    ----------
    encoded : iterable of ndarray
        The same rows as an operation encodes them, before they are shared.
    """
    lines, columns = read_rows(path)
    for line in lines:
        content = line.encode()
        yield content
        for shift in range(3):  # wherever the row begins within base64's groups of three
            text = base64.b64encode(b"\0" * shift + content)
            yield text[4 : 4 + len(content)]
        yield content.hex().encode()
    for name, texts in columns.items():
        if name == "ID":
            yield from (text.encode() for text in texts)
            continue
        values = np.array([float(text) for text in texts])
        if len(set(texts)) > len(texts) // 2:  # a class says nothing by itself
            yield from (text.encode() for text in texts if len(text) >= WINDOW)
            yield from (value.tobytes() for value in values.astype("<f8"))
            yield from (value.tobytes() for value in values.astype(">f8"))
        yield from _in_numbers(values)
    for matrix in encoded:
        yield from _in_numbers(matrix.ravel())
        yield from _in_numbers(matrix.T.ravel())


def _in_numbers(values: Floats) -> Iterator[bytes]:
    """Yield runs of values as floats and in fixed point: long enough not to come by chance."""
    ring = np.round(values * 2.0**FRACTION_BITS).astype("<i8")
    for array, length in ((values.astype("<f4"), 4), (ring, 4)):
        for start in range(0, len(array) - length, length):
            part = array[start : start + length]
            if len(set(part.tolist())) == length:
                yield part.tobytes()


class Needles:
    """Bytes to look for, each at least `WINDOW` long."""

    def __init__(self, wanted: Iterable[bytes]) -> None:
        self._by_prefix: dict[bytes, list[bytes]] = {}
        for needle in set(wanted):
            assert len(needle) >= WINDOW, needle
            self._by_prefix.setdefault(needle[:WINDOW], []).append(needle)
        numbers = sorted(int.from_bytes(prefix, "little") for prefix in self._by_prefix)
        self._prefixes = np.array(numbers, np.uint64)

    def found_in(self, content: bytes) -> list[bytes]:
        """Return those that a content holds."""
        found = []
        for start in range(0, len(content), CHUNK):
            part = np.frombuffer(content[start : start + CHUNK + WINDOW - 1], np.uint8)
            if len(part) < WINDOW:
                break
            rolling = np.zeros(len(part) - WINDOW + 1, np.uint64)
            for index in range(WINDOW):
                byte = part[index : index + len(rolling)].astype(np.uint64)
                rolling |= byte << np.uint64(8 * index)
            places = np.searchsorted(self._prefixes, rolling)
            hits = self._prefixes[np.minimum(places, len(self._prefixes) - 1)] == rolling
            for place in np.flatnonzero(hits) + start:
                for needle in self._by_prefix[bytes(content[place : place + WINDOW])]:
                    if content[place : place + len(needle)] == needle:
                        found.append(needle)
        return found
