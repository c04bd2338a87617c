"""A small 1-D convolutional network with its own gradient.

The arrays that arrive say its shape: weights and biases in turn. Convolutions (samples,
channels, filters) come first, each in steps of two samples, ReLU; the mean of each filter over
the series goes into dense layers (inputs, outputs), ReLU but for the last, which is one logit.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
MAX_VALUES = 1_000_000
STEP = 2


def normalise(x: Floats) -> Floats:
    """Return each series' distance from rest, its own median, in parts of its own peak.

    Gain, offset and polarity of an electrode then say nothing, and nobody else's rows are
    needed.
    """
    away = np.abs(x - np.median(x, axis=1, keepdims=True))
    return np.asarray(away / np.maximum(away.max(axis=1, keepdims=True), 1e-6), np.float32)


def check_shapes(arrays: Sequence[npt.NDArray[np.generic]], length: int) -> None:
    """Raise `ValueError` unless `arrays` are a network from `length` samples to one logit."""
    if not arrays or len(arrays) % 2 or sum(array.size for array in arrays) > MAX_VALUES:
        raise ValueError("the model needs weights and biases in turn, of bounded size")
    if arrays[0].ndim != 3:
        raise ValueError("the first layer is no convolution")
    width = 1
    dense = False
    for weights, biases in zip(arrays[::2], arrays[1::2], strict=True):
        dense = dense or weights.ndim == 2
        if (
            weights.ndim != (2 if dense else 3)
            or weights.shape[-2] != width
            or biases.shape != weights.shape[-1:]
            or not weights.size
        ):
            raise ValueError(f"a layer of shape {weights.shape} does not follow {width} channels")
        if not dense:
            if weights.shape[0] > length:
                raise ValueError(f"a filter of {weights.shape[0]} is wider than {length} samples")
            length = (length - weights.shape[0]) // STEP + 1
        width = weights.shape[-1]
    if width != 1 or not dense:
        raise ValueError("the last layer needs one output")


def forward(arrays: Sequence[Floats], x: Floats) -> list[Floats]:
    """Return the series, what each layer puts out and, last, the logits of shape (rows, 1)."""
    values = [x[:, :, None]]
    for layer in range(0, len(arrays), 2):
        weights, biases = arrays[layer], arrays[layer + 1]
        if weights.ndim == 3:
            z = np.tensordot(_windows(values[-1], len(weights)), weights, axes=2) + biases
        else:
            z = _pooled(values[-1]) @ weights + biases
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
        weights, source = arrays[layer], values[layer // 2]
        if weights.ndim == 3:
            windows = _windows(source, len(weights))
            slope = np.tensordot(windows, error, axes=((0, 1), (0, 1)))
            found += [error.sum(axis=(0, 1)), slope + decay * weights]
            error = _spread(error, weights, source) if layer else error
        else:
            found += [error.sum(axis=0), _pooled(source).T @ error + decay * weights]
            error = error @ weights.T
            if source.ndim == 3:
                error = np.broadcast_to(error[:, None] / source.shape[1], source.shape)
        if layer:
            error = error * (source > 0)
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


def _windows(values: Floats, samples: int) -> Floats:
    """Return what a filter sees: (rows, places, samples, channels)."""
    found = np.lib.stride_tricks.sliding_window_view(values, samples, axis=1)
    return found[:, ::STEP].transpose(0, 1, 3, 2)


def _spread(error: Floats, weights: Floats, source: Floats) -> Floats:
    """Return the gradient by a convolution's input."""
    found = np.zeros_like(source)
    for sample, row in enumerate(weights):
        found[:, sample : sample + STEP * error.shape[1] : STEP] += error @ row.T
    return found


def _pooled(values: Floats) -> Floats:
    """Return each filter's mean over the series; a dense layer's output as it is."""
    return values.mean(axis=1) if values.ndim == 3 else values
