"""Entry point: mini-batch gradient descent over shares, and a histogram of held-out scores.

Pure JAX, traced once and compiled for the ring: nothing here sees a number in the clear but the
shapes and the run configuration. Sums come before divisions: a fixed-point constant such as
1/24000 would have few bits left.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

Arrays = Mapping[str, Any]
Parameters = Mapping[str, Any]

SCORES = 5.0
"""Scores (log odds) below and above ±5 fall into the first and the last bin."""

COMPARED = 30_000
"""Comparisons at once: SPU 0.9.5 gives wrong ones under SECURENN from about 60,000 on."""


class Training:
    """A logistic regression of the label on all parties' features."""

    def initial(
        self, shapes: Mapping[str, tuple[int, int]], parameters: Parameters
    ) -> dict[str, np.ndarray]:
        """Return weights of 0: one for each feature, and one for the intercept."""
        rows, width = (
            label_shape(shapes)[0],
            sum(shapes[name][1] for name in feature_inputs(shapes)),
        )
        if rows - held_out(rows, parameters) < 1:
            raise ValueError("no rows are left to train on")
        return {"w": np.zeros((width + 1, 1), np.float32)}

    def stage(self, inputs: Arrays, state: Arrays, parameters: Parameters) -> dict[str, Any]:
        """Run the epochs between two checkpoints."""
        x, y = design(inputs), label(inputs)
        rows = x.shape[0] - held_out(x.shape[0], parameters)
        batch = min(parameters["batch-size"], rows)
        per_epoch, rate = rows // batch, parameters["learning-rate"]

        def step(i: Any, w: Any) -> Any:
            start = (i % per_epoch) * batch
            xs = jax.lax.dynamic_slice(x, (start, 0), (batch, x.shape[1]))
            ys = jax.lax.dynamic_slice(y, (start, 0), (batch, 1))
            error = sigmoid(xs @ w, parameters["sigmoid"]) - ys
            # Not (rate / batch) · gradient: in fixed point that constant may well be 0.
            change = (xs.T @ (rate * error)) * (1.0 / batch)
            return w - (change + rate * parameters["l2"] * w if parameters["l2"] else change)

        steps = per_epoch * parameters["checkpoint-every"]
        return {"w": jax.lax.fori_loop(0, steps, step, state["w"])}

    def outputs(self, inputs: Arrays, state: Arrays, parameters: Parameters) -> dict[str, Any]:
        """Return the weights and how many held-out rows of each class fall into each bin."""
        found = {"weights": state["w"][:, 0]}
        rows = design(inputs).shape[0]
        held = held_out(rows, parameters)
        if held:
            scores = design(inputs)[rows - held :] @ state["w"]
            found["histogram"] = histogram(
                scores, label(inputs)[rows - held :], parameters["score-bins"]
            )
        return found


def histogram(scores: Any, y: Any, bins: int) -> Any:
    """Return 2 × bins counts: rows with label 0 and 1 by score.

    Parameters
    ----------
    scores, y : array, shape (rows, 1)
    bins : int
        Of equal width on ±`SCORES`; what lies outside is in the first and the last.
    """
    edges = np.linspace(-SCORES, SCORES, bins + 1)[None, 1:-1].astype(np.float32)
    classes = jnp.concatenate([1.0 - y, y], axis=1)
    rows = scores.shape[0]
    block = max(1, COMPARED // (bins - 1))

    def above(start: Any, size: int) -> Any:
        """Count rows above each edge, by class, in one block."""
        found = jax.lax.dynamic_slice(scores, (start, 0), (size, 1)) > edges
        part = jax.lax.dynamic_slice(classes, (start, 0), (size, 2))
        return part.T @ found.astype(jnp.float32)

    tail = jnp.zeros((2, bins - 1), jnp.float32)
    if full := rows // block:
        tail = jax.lax.fori_loop(0, full, lambda i, sums: sums + above(i * block, block), tail)
    if rest := rows % block:
        tail = tail + above(rows - rest, rest)
    # Rows above each edge, from all of them down to none: the differences are the bins.
    total = jnp.sum(classes, axis=0)[:, None]
    tail = jnp.concatenate([total, tail, jnp.zeros((2, 1), jnp.float32)], axis=1)
    return tail[:, :-1] - tail[:, 1:]


def sigmoid(z: Any, kind: str) -> Any:
    """Return the logistic function, or the cubic that lies close to it between -5 and 5."""
    if kind == "exact":
        return jax.nn.sigmoid(z)
    return 0.5 + z * (0.15012 - 0.001593 * z * z)


def held_out(rows: int, parameters: Parameters) -> int:
    """Return how many of the last rows no training sees."""
    return int(rows * parameters["holdout"])


def feature_inputs(names: Mapping[str, Any]) -> list[str]:
    """Return the features' inputs, x0, x1 and so on, in the order of the input parties."""
    return sorted((name for name in names if name.startswith("x")), key=lambda name: int(name[1:]))


def design(inputs: Arrays) -> Any:
    """Return all parties' features side by side, and a column of ones."""
    parts = [inputs[name] for name in feature_inputs(inputs)]
    return jnp.concatenate([*parts, jnp.ones((parts[0].shape[0], 1), jnp.float32)], axis=1)


def label(inputs: Arrays) -> Any:
    """Return the one label column."""
    return inputs[_label_input(inputs)]


def label_shape(shapes: Mapping[str, tuple[int, int]]) -> tuple[int, int]:
    """Return its shape; raise `ValueError` unless there is exactly one."""
    return shapes[_label_input(shapes)]


def _label_input(names: Mapping[str, Any]) -> str:
    found = [name for name in names if name.startswith("y")]
    if len(found) != 1:
        raise ValueError(
            "exactly one party must give labels: see the parameters label, label-party"
        )
    return found[0]
