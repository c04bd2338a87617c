"""The first arrays of a network, from a text that names its layers."""

import re
from math import prod

import numpy as np
import numpy.typing as npt

MAX_LAYERS, MAX_WIDTH = 8, 10_000
_LAYER = re.compile(r"([0-9]{1,5})(?:k([1-9][0-9]?))?")


def initial_arrays(layers: str, seed: int) -> list[npt.NDArray[np.float32]]:
    """Return weights and biases (outputs,) in turn.

    Parameters
    ----------
    layers : str
        Widths from the input to the output, such as ``"20-8-1"``: weights (inputs, outputs).
        Convolutions may come first, such as ``"73-8k9-16k7-1"``: 8 filters over 9 samples of
        a series, then 16 over 7; weights (samples, channels, filters). A filter's mean over
        the series is what the next width takes.
    seed : int
        Equal seeds give equal arrays.

    Notes
    -----
    Uniform after Glorot and Bengio (2010); one layer alone (a convex problem) starts at zero.
    """
    shapes = _shapes(layers)
    random = np.random.default_rng(seed)
    arrays: list[npt.NDArray[np.float32]] = []
    for shape in shapes:
        fans = prod(shape[:-1]) + prod(shape[:-2]) * shape[-1]
        bound = 0.0 if len(shapes) == 1 else float(np.sqrt(6 / fans))
        arrays.append(random.uniform(-bound, bound, shape).astype(np.float32))
        arrays.append(np.zeros(shape[-1], np.float32))
    return arrays


def _shapes(layers: str) -> list[tuple[int, ...]]:
    """Return the shape of each layer's weights."""
    found = [_LAYER.fullmatch(text) for text in layers.split("-")]
    sizes = [(int(match[1]), int(match[2] or 0)) for match in found if match]
    kernels = [kernel for _, kernel in sizes]
    convolutions = sum(kernel > 0 for kernel in kernels)
    if (
        len(sizes) != len(found)
        or not 2 <= len(sizes) <= MAX_LAYERS
        or not all(0 < width <= MAX_WIDTH for width, _ in sizes)
        or not all(kernels[1 : convolutions + 1])
        or kernels[0]
        or kernels[-1]
    ):
        raise ValueError(f"layers must be widths such as 20-8-1 or 73-8k9-1, not {layers!r}")
    shapes: list[tuple[int, ...]] = []
    channels = 1 if convolutions else sizes[0][0]
    for width, kernel in sizes[1:]:
        shapes.append((kernel, channels, width) if kernel else (channels, width))
        channels = width
    return shapes
