"""What an evaluation says of a model: log loss and the area under the ROC curve."""

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.floating]


def log_loss(y: Numbers, p: Numbers) -> float:
    """Return the mean cross-entropy of probabilities `p` against labels `y`."""
    p = np.clip(p, 1e-7, 1 - 1e-7)
    return float(-np.mean(y * np.log(p) + (1 - y) * np.log(1 - p)))


def auc(y: Numbers, p: Numbers) -> float:
    """Return the area under the ROC curve; 0.5 where only one label is present.

    The share of (positive, negative) pairs in the right order, ties counted half (Mann and
    Whitney, 1947).
    """
    positives, negatives = p[y == 1], p[y == 0]
    if not len(positives) or not len(negatives):
        return 0.5
    order = np.sort(negatives)
    below = np.searchsorted(order, positives, side="left")
    not_above = np.searchsorted(order, positives, side="right")
    return float((below + not_above).sum() / 2 / (len(positives) * len(negatives)))
