"""A small dense network with its own gradient: logistic regression when it has one layer.

The arrays that arrive say its shape: weights (inputs, outputs) and biases (outputs,) in
turn. Hidden layers are ReLU, the output is one logit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
MAX_VALUES = 1_000_000


def check_shapes(arrays: Sequence[npt.NDArray[np.generic]], features: int) -> None:
    """Raise `ValueError` unless `arrays` are a network from `features` inputs to one logit."""
    width = features
    if not arrays or len(arrays) % 2:
        raise ValueError("the model needs weights and biases in turn")
    if sum(array.size for array in arrays) > MAX_VALUES:
        raise ValueError(f"the model has more than {MAX_VALUES} values")
    for weights, biases in zip(arrays[::2], arrays[1::2], strict=True):
        if weights.ndim != 2 or weights.shape[0] != width or biases.shape != weights.shape[1:]:
            raise ValueError(f"a layer of shape {weights.shape} does not follow {width} inputs")
        width = weights.shape[1]
    if width != 1:
        raise ValueError("the last layer needs one output")


def forward(arrays: Sequence[Floats], x: Floats) -> list[Floats]:
    """Return the input of every layer and, last, the logits of shape (rows, 1)."""
    values = [x]
    for layer in range(0, len(arrays), 2):
        z = values[-1] @ arrays[layer] + arrays[layer + 1]
        values.append(z if layer == len(arrays) - 2 else np.maximum(z, 0))
    return values


def predict(arrays: Sequence[Floats], x: Floats) -> Floats:
    """Return the probability of label 1 for each row, shape (rows,)."""
    return sigmoid(forward(arrays, x)[-1][:, 0])


def sigmoid(z: Floats) -> Floats:
    """Return 1 / (1 + exp(-z)) without overflow."""
    return np.asarray(0.5 * (1 + np.tanh(z / 2)), np.float32)


def gradient(arrays: Sequence[Floats], x: Floats, y: Floats, decay: float) -> list[Floats]:
    """Return the gradient of the mean cross-entropy plus ``decay / 2 * sum(weights ** 2)``."""
    values = forward(arrays, x)
    error = (sigmoid(values[-1][:, 0]) - y)[:, None] / len(y)
    found: list[Floats] = []
    for layer in range(len(arrays) - 2, -1, -2):
        source = values[layer // 2]
        found += [error.sum(axis=0), source.T @ error + decay * arrays[layer]]
        error = (error @ arrays[layer].T) * (source > 0)
    return found[::-1]


def train(
    arrays: Sequence[npt.NDArray[np.generic]],
    x: Floats,
    y: Floats,
    *,
    epochs: int,
    learning_rate: float,
    batch_size: int,
    decay: float,
    seed: int,
    proximal: float = 0.0,
) -> list[Floats]:
    """Return the arrays after `epochs` of mini-batch gradient descent; the input is kept.

    Equal inputs give equal outputs: the order of rows follows from `seed`. `proximal` is the
    weight of FedProx's term, which pulls towards the arrays that arrived.
    """
    check_shapes(arrays, x.shape[1])
    start = [np.array(array, np.float32) for array in arrays]
    trained = [array.copy() for array in start]
    order = np.random.default_rng(seed)
    for _ in range(epochs):
        rows = order.permutation(len(y))
        for first in range(0, len(y), batch_size):
            batch = rows[first : first + batch_size]
            slopes = gradient(trained, x[batch], y[batch], decay)
            for value, slope, origin in zip(trained, slopes, start, strict=True):
                slope = slope + proximal * (value - origin)
                value -= np.float32(learning_rate) * slope.astype(np.float32)
    return trained
