"""What a compute holds of a bank's table: read from the work folders that a run has left.

Services are started with DATATOKEN_KEEP_WORK here; otherwise a party removes its work folder
when a run ends.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datatoken.errors import RunFailedError
from datatoken.types import Scalar
from examples.support.mpc.watch import Part
from rtt_tracer.operations.reading import feature_names
from rtt_tracer.operations.secret_sharing.share import share

ARRAY = "x0"
"""The first bank's encoded columns."""

RING = 8
"""Bytes of one element."""

HEADER = 8 + 4
"""A magic word and the number of parts; each part has its length in 8 bytes before it."""


@dataclass(frozen=True)
class Seen:
    """One bank's encoded columns beside what the computes hold of them.

    Attributes
    ----------
    name : str
        Of the column that `values` and `shares` show.
    values : ndarray, shape (rows,)
        As encoded, at the bank.
    shares : ndarray, shape (rows,)
        The same places at one compute, as part of the ring (-1 to 1).
    correlation : float
        The strongest one of any value with any share at any compute.
    tables : list of str
        Tables that lie at a compute; there must be none.
    """

    rows: int
    columns: int
    name: str
    values: npt.NDArray[np.float64]
    shares: npt.NDArray[np.float64]
    correlation: float
    tables: list[str]

    @property
    def chance(self) -> float:
        """A correlation that pure chance does not reach."""
        return float(6 / np.sqrt(self.rows))


def look_at_shares(parts: Sequence[Part], parameters: dict[str, Scalar]) -> Seen:
    """Compare what the first bank has encoded with what every compute holds of it.

    Parameters
    ----------
    parameters : dict
        The effective run configuration.
    """
    bank = next(part for part in parts if part.asset.endswith("-data"))
    computes = [part for part in parts if part.asset.endswith("-compute")]
    with np.load(_work(bank) / "in" / "table.npz", allow_pickle=False) as file:
        table = {name: file[name] for name in file.files}
    encoded = np.asarray(share(table, parameters, 0)["x"], np.float64)
    held = [
        ring_elements(_work(part) / "in" / "shares" / ARRAY, encoded.shape) for part in computes
    ]
    wide = int(np.argmax(encoded.std(axis=0) * [len(set(column)) for column in encoded.T]))
    return Seen(
        rows=encoded.shape[0],
        columns=encoded.shape[1],
        name=feature_names([_schema(table)], parameters)[wide],
        values=encoded[:, wide],
        shares=held[0][:, wide, 0],
        correlation=max(_strongest(encoded, shares) for shares in held),
        tables=[str(path) for part in computes for path in _work(part).rglob("*.npz")],
    )


def ring_elements(path: Path, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Return a share's ring elements as numbers from -1 to 1.

    Returns
    -------
    ndarray, shape (rows, columns, elements)
        ABY3 gives each party two elements a value, the others one.
    """
    content, parts = path.read_bytes(), list[bytes]()
    offset = HEADER
    while offset < len(content):
        (length,) = struct.unpack_from("<Q", content, offset)
        parts.append(content[offset + 8 : offset + 8 + length])
        offset += 8 + length
    body = parts[1] if len(parts) == 2 else b"".join(parts[1:])
    each = len(body) // (shape[0] * shape[1] * RING)
    if each < 1:
        raise RunFailedError(f"{path.name} is too short for a share of {shape} values.")
    size = shape[0] * shape[1] * RING * each
    # The elements are the last field of a part.
    elements = np.frombuffer(body[len(body) - size :], "<i8").reshape(*shape, each)
    return np.asarray(elements / 2.0**63, np.float64)


def _strongest(values: npt.NDArray[np.float64], shares: npt.NDArray[np.float64]) -> float:
    strongest = 0.0
    for column in range(values.shape[1]):
        if values[:, column].std() == 0:
            continue
        for element in range(shares.shape[2]):
            found = np.corrcoef(values[:, column], shares[:, column, element])[0, 1]
            strongest = max(strongest, abs(float(found)))
    return strongest


def _schema(table: dict[str, npt.NDArray[np.generic]]) -> dict[str, object]:
    plain: dict[str, object] = json.loads(table["__schema__"].tobytes())
    return plain


def _work(part: Part) -> Path:
    folder = part.folder / "work"
    if not folder.is_dir():
        raise RunFailedError(f"{part.asset} has kept no work folder.", "See KEEP_WORK.")
    return folder
