"""Encoding: columns as small numbers, as `secret_sharing.encoding` has them, for CPython 3.6.

What it needs of the data (mean, deviation) is computed by the owner and stays there.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from .columns import Column, features, schema_of

if TYPE_CHECKING:
    from .columns import Parameters, Table

    Floats = np.ndarray[Any, np.dtype[np.float64]]

CLIP = 6.0
"""Deviations from the mean beyond which a value counts no more: shares are fixed-point."""


def share(table: "Table", parameters: "Parameters", party: int) -> "dict[str, Floats]":
    """Return what input party number `party` gives: ``x``, and ``y`` where the labels are.

    Rows stand in the public order: the last of them are the ones held out.

    Raises
    ------
    ValueError
        When the table does not hold what the parameters ask for.
    """
    columns = features(schema_of(table), parameters)
    rows = order(len(table[columns[0].name]), parameters["seed"])
    arrays = {"x": model_matrix(table, columns, parameters)[rows]}
    if party == parameters["label-party"]:
        arrays["y"] = labels(table, parameters["label"])[rows, None]
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("the table holds values that are missing or no numbers")
    return arrays


def order(rows: int, seed: int) -> "np.ndarray[Any, Any]":
    """Return a public pseudo-random order, the same at all parties that have `rows` rows."""
    # RandomState's stream is frozen by NumPy's policy; Generator's is not.
    return np.random.RandomState(seed).permutation(rows)


def labels(table: "Table", name: str) -> "Floats":
    """Return the label column; raise `ValueError` unless it is there and holds 0 and 1."""
    if name not in table:
        raise ValueError(f"the table has no label column {name}")
    found = np.asarray(table[name], np.float64)
    if not np.isin(found, (0.0, 1.0)).all():
        raise ValueError(f"the label column {name} holds other values than 0 and 1")
    return found


def model_matrix(table: "Table", columns: "list[Column]", parameters: "Parameters") -> "Floats":
    """Return rows × features: categories one-hot, numbers standardised and clipped."""
    limit, scaling = parameters["max-categories"], parameters["scaling"]
    parts = [
        one_hot(table[column.name], column, limit)
        if column.codes
        else np.clip(standard(table[column.name], column, scaling), -CLIP, CLIP)[:, None]
        for column in columns
    ]
    found: Floats = np.hstack(parts)
    return found


def one_hot(values: "Floats", column: Column, limit: int) -> "Floats":
    """Return rows × categories of 0 and 1; beyond `limit` the last stands for all others."""
    codes = np.array(column.codes, np.float64)
    hot = np.asarray(values, np.float64)[:, None] == codes[None, :]
    if len(codes) > limit:
        hot = np.hstack([hot[:, : limit - 1], hot[:, limit - 1 :].any(axis=1, keepdims=True)])
    found: Floats = hot.astype(np.float64)
    return found


def standard(values: "Floats", column: Column, scaling: str) -> "Floats":
    """Return one number column scaled: by its own rows, or by the range that is declared.

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
        raise ValueError("a column declares no minimum and maximum to scale it by")
    low, high = column.minimum, column.maximum
    if column.log:
        low, high = float(signed_log(np.array(low))), float(signed_log(np.array(high)))
    return (found - (low + high) / 2) / ((high - low) / 2 or 1.0)


def signed_log(values: "Floats") -> "Floats":
    """Return sign(v) · log(1 + |v|): amounts of money, debts among them, on one scale."""
    found: Floats = np.sign(values) * np.log1p(np.abs(values))
    return found
