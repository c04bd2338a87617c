"""A small dense Keras network, built to the shape of the arrays that arrive.

Weights (inputs, outputs) and biases (outputs,) in turn. Hidden layers are ReLU, the output is
one logit: the same model as EdgeComp-NumPy trains.
"""

import os
from collections.abc import Callable, Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
MAX_VALUES = 10_000_000


def build(
    arrays: Sequence[Floats], features: int, *, decay: float = 0.0, proximal: float = 0.0
) -> keras.Sequential:
    """Return the network that holds `arrays`; `decay` and `proximal` add to its loss.

    Raises
    ------
    ValueError
        When they are not a dense network from `features` inputs to one logit.
    """
    if not arrays or len(arrays) % 2 or sum(array.size for array in arrays) > MAX_VALUES:
        raise ValueError("the model needs weights and biases in turn, of bounded size")
    widths = [biases.shape[0] if biases.ndim == 1 else 0 for biases in arrays[1::2]]
    expected = list(zip([features, *widths], widths, strict=False))
    if [array.shape for array in arrays[::2]] != expected or widths[-1] != 1:
        raise ValueError(f"the layers do not lead from {features} inputs to one output")
    dense = [
        keras.layers.Dense(
            width,
            "relu" if layer < len(widths) - 1 else None,
            kernel_regularizer=_penalty(arrays[2 * layer], decay, proximal),
            bias_regularizer=_penalty(arrays[2 * layer + 1], 0.0, proximal),
        )
        for layer, width in enumerate(widths)
    ]
    model = keras.Sequential([keras.Input((features,)), *dense])
    model.set_weights(list(arrays))
    return model


def _penalty(
    origin: Floats, decay: float, proximal: float
) -> Callable[[keras.KerasTensor], keras.KerasTensor]:
    """Return ``decay / 2 * sum(w ** 2) + proximal / 2 * sum((w - origin) ** 2)``."""

    def penalty(weights: keras.KerasTensor) -> keras.KerasTensor:
        away = weights - np.asarray(origin, np.float32)
        return (
            decay * keras.ops.sum(keras.ops.square(weights))
            + proximal * keras.ops.sum(keras.ops.square(away))
        ) / 2

    return penalty


def train(
    arrays: Sequence[Floats],
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
    """Return the arrays after `epochs` of mini-batch gradient descent.

    `proximal` is the weight of FedProx's term, which pulls towards the arrays that arrived.
    """
    keras.utils.set_random_seed(seed)
    model = build(arrays, x.shape[1], decay=decay, proximal=proximal)
    model.compile(
        optimizer=keras.optimizers.SGD(learning_rate),
        loss=keras.losses.BinaryCrossentropy(from_logits=True),
    )
    model.fit(x, y, batch_size=batch_size, epochs=epochs, verbose=0)
    return [np.asarray(array, np.float32) for array in model.get_weights()]


def predict(arrays: Sequence[Floats], x: Floats) -> Floats:
    """Return the probability of label 1 for each row, shape (rows,)."""
    logits = build(arrays, x.shape[1])(x)
    return np.asarray(keras.ops.sigmoid(logits), np.float32)[:, 0]
