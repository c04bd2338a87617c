"""The first arrays of a dense network, from a text that names its layers."""

import itertools

import numpy as np
import numpy.typing as npt

MAX_LAYERS, MAX_WIDTH = 8, 10_000


def initial_arrays(layers: str, seed: int) -> list[npt.NDArray[np.float32]]:
    """Return weights (inputs, outputs) and biases (outputs,) in turn.

    Parameters
    ----------
    layers : str
        Widths from the input to the output, such as ``"20-8-1"``.
    seed : int
        Equal seeds give equal arrays.

    Notes
    -----
    Uniform after Glorot and Bengio (2010); one layer alone (a convex problem) starts at zero.
    """
    try:
        widths = [int(width) for width in layers.split("-")]
    except ValueError:
        widths = []
    if not 2 <= len(widths) <= MAX_LAYERS or not all(0 < w <= MAX_WIDTH for w in widths):
        raise ValueError(f"layers must be widths such as 20-8-1, not {layers!r}")
    random = np.random.default_rng(seed)
    arrays: list[npt.NDArray[np.float32]] = []
    for inputs, outputs in itertools.pairwise(widths):
        bound = 0.0 if len(widths) == 2 else float(np.sqrt(6 / (inputs + outputs)))
        arrays.append(random.uniform(-bound, bound, (inputs, outputs)).astype(np.float32))
        arrays.append(np.zeros(outputs, np.float32))
    return arrays
