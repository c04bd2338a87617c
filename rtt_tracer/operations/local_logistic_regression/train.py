"""Entry point: a logistic regression of one owner's columns, fitted in the private domain.

The same encoding, order of rows and held-out rows as in the joint training, so that both AUCs
speak of the same customers.
"""

import numpy as np

from .columns import Parameters, Table, features, schema_of
from .encoding import Floats, held_out, labels, model_matrix, order

STEPS, PRECISION = 100, 1e-8
RIDGE = 1e-3
"""A little of it: one-hot columns and an intercept are linearly dependent."""

SCORES = 5.0
"""Scores (log odds) below and above ±5 fall into the first and the last bin."""


def run(table: Table, parameters: Parameters) -> dict[str, np.ndarray]:
    """Train on the owner's rows and count the scores of those held out.

    Returns
    -------
    dict
        ``weights`` (features + intercept), ``histogram`` (2 × bins: held-out rows by label and
        score) and ``auc``, exact, of the held-out rows.

    Raises
    ------
    ValueError
        When the table has no label of 0 and 1, or too few rows.
    """
    columns = features(schema_of(table), parameters)
    y = labels(table, parameters["label"])
    rows = order(len(y), parameters["seed"])
    x = model_matrix(table, columns, parameters)[rows]
    x, y = np.column_stack([x, np.ones(len(y))]), y[rows]
    kept = len(y) - held_out(len(y), parameters["holdout"])
    if len(np.unique(y[:kept])) < 2 or len(np.unique(y[kept:])) < 2:
        raise ValueError("both labels must be among the training rows and those held out")
    weights = fit(x[:kept], y[:kept])
    scores = x[kept:] @ weights
    return {
        "weights": weights,
        "histogram": histogram(scores, y[kept:], parameters["score-bins"]),
        "auc": np.array(auc(scores, y[kept:])),
    }


def fit(x: Floats, y: Floats) -> Floats:
    """Return the weights of the greatest likelihood, by Newton's method."""
    weights: Floats = np.zeros(x.shape[1])
    penalty = RIDGE * np.eye(x.shape[1])
    for _ in range(STEPS):
        p = 1 / (1 + np.exp(-np.clip(x @ weights, -30, 30)))
        gradient = x.T @ (p - y) + RIDGE * weights
        change = np.linalg.solve((x * (p * (1 - p))[:, None]).T @ x + penalty, gradient)
        weights = weights - change
        if np.abs(change).max() < PRECISION:
            break
    return weights


def histogram(scores: Floats, y: Floats, bins: int) -> Floats:
    """Return 2 × bins counts, as the joint training does."""
    edges = np.linspace(-SCORES, SCORES, bins + 1)[1:-1]
    place = np.searchsorted(edges, scores, side="left")
    counts = [np.bincount(place[y == label], minlength=bins) for label in (0, 1)]
    return np.array(counts, np.float64)


def auc(scores: Floats, y: Floats) -> float:
    """Return the chance that a row of label 1 scores above one of label 0; ties count half."""
    values, place, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = np.cumsum(counts) - (counts - 1) / 2
    positive = y == 1
    ones, zeros = int(positive.sum()), int((~positive).sum())
    assert len(values) and ones and zeros
    return float((ranks[place][positive].sum() - ones * (ones + 1) / 2) / (ones * zeros))
