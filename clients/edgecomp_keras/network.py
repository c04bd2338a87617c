"""A small dense Keras network, built to the shape of the arrays that arrive.

Weights (inputs, outputs) and biases (outputs,) in turn. Hidden layers are ReLU, the output is
one logit: the same model as EdgeComp-NumPy trains.
"""

import os
from collections.abc import Sequence

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
MAX_VALUES = 10_000_000


def build(arrays: Sequence[Floats], features: int, *, decay: float = 0.0) -> keras.Sequential:
    """Return the network that holds `arrays`.

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
    hidden = [
        keras.layers.Dense(width, "relu", kernel_regularizer=keras.regularizers.L2(decay / 2))
        for width in widths[:-1]
    ]
    last = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(decay / 2))
    model = keras.Sequential([keras.Input((features,)), *hidden, last])
    model.set_weights(list(arrays))
    return model


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
) -> list[Floats]:
    """Return the arrays after `epochs` of mini-batch gradient descent."""
    keras.utils.set_random_seed(seed)
    model = build(arrays, x.shape[1], decay=decay)
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
