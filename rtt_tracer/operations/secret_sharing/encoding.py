"""Encoding: columns as small numbers, before anything is shared.

Each function maps a column without looking at anybody else's. What it needs of the data (mean,
deviation, quantiles) is computed in the private domain and stays there.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from .columns import Column, Parameters, Table

Floats = np.ndarray[Any, np.dtype[np.float64]]

OTHERS = "others"
CLIP = 6.0
"""Deviations from the mean beyond which a value counts no more: shares are fixed-point."""


def order(rows: int, seed: int) -> np.ndarray:
    """Return a public pseudo-random order, the same at all parties that have `rows` rows."""
    # RandomState's stream is frozen by NumPy's policy; Generator's is not.
    return np.random.RandomState(seed).permutation(rows)


def held_out(rows: int, share: float) -> int:
    """Return how many of the last rows, in that order, no training sees."""
    return int(rows * share)


def labels(table: Table, name: str) -> Floats:
    """Return the label column; raise `ValueError` unless it is there and holds 0 and 1."""
    if name not in table:
        raise ValueError(f"the table has no label column {name}")
    found = np.asarray(table[name], np.float64)
    if not np.isin(found, (0.0, 1.0)).all():
        raise ValueError(f"the label column {name} holds other values than 0 and 1")
    return found


def model_matrix(table: Table, columns: Sequence[Column], parameters: Parameters) -> Floats:
    """Return rows × features: categories one-hot, numbers standardised and clipped."""
    limit, scaling = parameters["max-categories"], parameters["scaling"]
    parts = [
        one_hot(table[column.name], column, limit)
        if column.categories
        else np.clip(standard(table[column.name], column, scaling), -CLIP, CLIP)[:, None]
        for column in columns
    ]
    return np.hstack(parts)


def feature_names(columns: Sequence[Column], parameters: Parameters) -> list[str]:
    """Return what each feature of `model_matrix` stands for, such as ``SEX=1`` or ``AGE``."""
    limit = parameters["max-categories"]
    return [
        f"{column.name}={value}" if column.categories else column.name
        for column in columns
        for value in (category_names(column, limit) if column.categories else ("",))
    ]


def category_names(column: Column, limit: int) -> list[str]:
    """Return the categories that get a feature; beyond `limit` the last one is the others."""
    names = [str(value) for value in column.categories]
    return names if len(names) <= limit else [*names[: limit - 1], OTHERS]


def one_hot(values: np.ndarray, column: Column, limit: int) -> Floats:
    """Return rows × categories of 0 and 1, in the order declared."""
    codes = np.array(column.codes, np.float64)
    hot = np.asarray(values, np.float64)[:, None] == codes[None, :]
    if len(codes) > limit:
        hot = np.hstack([hot[:, : limit - 1], hot[:, limit - 1 :].any(axis=1, keepdims=True)])
    found: Floats = hot.astype(np.float64)
    return found


def standard(values: np.ndarray, column: Column, scaling: str) -> Floats:
    """Return a number around 0 with a spread near 1; amounts on a logarithmic scale first.

    `scaling` is ``own`` (mean and deviation of the owner's rows, which stay with the owner) or
    ``public`` (the middle and half width of the declared range).

    Raises
    ------
    ValueError
        When the scaling is public and no range is declared.
    """
    found = np.asarray(values, np.float64)
    if column.log:
        found = signed_log(found)
    if scaling == "own":
        centre, spread = float(found.mean()), float(found.std())
        tiny = 1e-9 * max(1.0, abs(centre))  # a constant column leaves rounding noise
        return np.zeros_like(found) if spread <= tiny else (found - centre) / spread
    if column.minimum is None or column.maximum is None:
        raise ValueError(f"column {column.name} declares no minimum and maximum to scale it by")
    low, high = column.minimum, column.maximum
    if column.log:
        low, high = float(signed_log(np.array(low))), float(signed_log(np.array(high)))
    return (found - (low + high) / 2) / ((high - low) / 2 or 1.0)


def signed_log(values: np.ndarray) -> Floats:
    """Return sign(v) · log(1 + |v|): amounts of money, debts among them, on one scale."""
    found: Floats = np.sign(values) * np.log1p(np.abs(values))
    return found
