"""Entry point: moments, correlations and counts by bin, of all parties' columns together."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

Arrays = Mapping[str, Any]
Parameters = Mapping[str, Any]


class Description:
    """What a requester learns of the columns together, and nothing of any row."""

    def outputs(self, inputs: Arrays, state: Arrays, parameters: Parameters) -> dict[str, Any]:
        """Return means, deviations, correlations, and counts by bin and label.

        Inputs are those of Secret-Sharing with encoding ``statistics``: numbers of mean 0 and
        deviation 1, their moments, and bins of 0 and 1.

        Raises
        ------
        ValueError
            When there are no statistics, or of too few rows to be told.
        """
        found: dict[str, Any] = {}
        if min(array.shape[0] for array in inputs.values()) < parameters["min-cell"]:
            raise ValueError("the tables have fewer rows than min-cell: moments would describe few")
        if numbers := named(inputs, "x"):
            x = side_by_side(inputs, numbers)
            parts = [inputs[f"moments{name[1:]}"][: inputs[name].shape[1]] for name in numbers]
            moments = jnp.concatenate(parts, axis=0)
            found |= {"mean": moments[:, 0], "deviation": moments[:, 1]}
            found["correlation"] = averaged(x.T @ x, x.shape[0])
        if binned := named(inputs, "bins"):
            counts = side_by_side(inputs, binned).T @ classes(inputs, binned[0])
            # A count of a few people says something of each of them.
            found["counts"] = counts * (counts > parameters["min-cell"] - 0.5)
        if not found:
            raise ValueError("no statistics were shared: give secret sharing encoding=statistics")
        return found


def classes(inputs: Arrays, name: str) -> Any:
    """Return rows × 2, label 0 and label 1; without labels rows × 1 of ones."""
    labels = named(inputs, "y")
    if not labels:
        return jnp.ones((inputs[name].shape[0], 1), jnp.float32)
    return jnp.concatenate([1.0 - inputs[labels[0]], inputs[labels[0]]], axis=1)


def averaged(total: Any, rows: int) -> Any:
    """Return a square `total` / `rows`, by a power of two first.

    In fixed point 1/rows alone has few bits. The compiler folds two constant factors into one;
    a product of matrices it leaves alone.
    """
    bits = rows.bit_length()
    return (total * 0.5**bits) @ (jnp.eye(len(total), dtype=jnp.float32) * (2**bits / rows))


def named(inputs: Arrays, array: str) -> list[str]:
    """Return the inputs called `array` and a number, in the order of the input parties."""
    found = [name for name in inputs if name.rstrip("0123456789") == array]
    return sorted(found, key=lambda name: int(name[len(array) :]))


def side_by_side(inputs: Arrays, names: list[str]) -> Any:
    """Return some inputs' columns in one array."""
    return jnp.concatenate([inputs[name] for name in names], axis=1)
