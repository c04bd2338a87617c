"""The rows of this device: a file that the SuperNode's node configuration names.

`.npz` with `x` (rows, features) and `y` (rows,), or `.csv` with a header whose last column
is the label. Nothing is unpickled.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
HELD_OUT = 4
"""Every fourth row is kept for evaluation and never trained on."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Features of shape (rows, features) and labels 0 or 1 of shape (rows,)."""

    x: Floats
    y: Floats

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.y)


def load(node_config: dict[str, Any]) -> Rows:
    """Read the file that ``--node-config 'data="…"'`` names.

    Raises
    ------
    ValueError
        When the key is missing, or the file does not hold finite rows and labels 0 and 1.
    """
    if "data" not in node_config:
        raise ValueError("the node configuration names no data file: --node-config 'data=\"…\"'")
    path = Path(str(node_config["data"]))
    if path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as file:
            x, y = file["x"], file["y"]
    else:
        table = np.loadtxt(path, delimiter=",", skiprows=1, ndmin=2)
        x, y = table[:, :-1], table[:, -1]
    rows = Rows(np.asarray(x, np.float32), np.asarray(y, np.float32))
    if rows.x.ndim != 2 or rows.y.shape != (len(rows.x),) or not len(rows):
        raise ValueError("the data file needs x of shape (rows, features) and y of shape (rows,)")
    if not np.isfinite(rows.x).all() or not np.isin(rows.y, (0, 1)).all():
        raise ValueError("the data file needs finite features and labels 0 or 1")
    return rows


def split(rows: Rows) -> tuple[Rows, Rows]:
    """Return the rows to train on and the rows to evaluate on, the same ones every time.

    Raises
    ------
    ValueError
        When there are so few that none is held out.
    """
    if len(rows) < HELD_OUT:
        raise ValueError(f"the data file needs {HELD_OUT} rows or more: every fourth is held out")
    held_out = np.arange(len(rows)) % HELD_OUT == HELD_OUT - 1
    return Rows(rows.x[~held_out], rows.y[~held_out]), Rows(rows.x[held_out], rows.y[held_out])
