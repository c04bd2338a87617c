"""Entry point: mini-batch gradient descent over shares, and a histogram of held-out scores.

TensorFlow 1 as Rosetta runs it: a session that is fed shares gives shares. Between two batches
the weights are NumPy arrays of this party's shares, and nothing is ever revealed here.
"""

import functools
import operator
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import latticex.rosetta as rtt
import numpy as np
import tensorflow as tf

from . import encoding

if TYPE_CHECKING:
    Shares = np.ndarray[Any, Any]
    Parameters = Mapping[str, Any]

SCORES = 5.0
"""Scores (log odds) below and above ±5 fall into the first and the last bin."""

COMPARED = 30000
"""Comparisons in one step: about a second's work, and 10 kB to send for 50 of them."""

STARTER = 0
"""Rank that shares the start weights, which are public: zeros."""


class Training:
    """A logistic regression of the label on the features of all input parties."""

    share = staticmethod(encoding.share)

    def arrays(self, inputs: "list[int]", parameters: "Parameters") -> "list[tuple[str, int]]":
        """Return which array each input party gives."""
        labelled = parameters["label-party"]
        if not parameters["label"] or labelled not in inputs:
            raise ValueError("the parameters label and label-party must say what to predict")
        return [("x", party) for party in inputs] + [("y", labelled)]

    def begin(self, inputs: "Mapping[str, Shares]", parameters: "Parameters") -> None:
        """Take the shares; make the computation's graph once.

        Raises
        ------
        ValueError
            When no rows are left to train on.
        """
        self._parameters = parameters
        names = sorted((name for name in inputs if name[0] == "x"), key=lambda name: int(name[1:]))
        self._x = np.hstack([inputs[name] for name in names])
        self._y = inputs[f"y{parameters['label-party']}"]
        held = int(len(self._x) * parameters["holdout"])
        self._rows = len(self._x) - held
        if self._rows < 1:
            raise ValueError("no rows are left to train on")
        self._batch = min(parameters["batch-size"], self._rows)
        width = self._x.shape[1]
        self._weights = rtt.private_input(STARTER, np.zeros((width, 1)))
        self._intercept = rtt.private_input(STARTER, np.zeros((1, 1)))
        self._step = Step(width, self._batch, parameters)
        self._session = tf.Session()

    def state(self) -> "dict[str, Shares]":
        """Return this party's shares of the model so far."""
        return {"weights": self._weights, "intercept": self._intercept}

    def stage(self, progress: "Callable[[int, int], None]") -> None:
        """Run the epochs between two checkpoints."""
        per_epoch, size = self._rows // self._batch, self._batch
        total = per_epoch * self._parameters["checkpoint-every"]
        for done in range(total):
            rows = slice(done % per_epoch * size, (done % per_epoch + 1) * size)
            self._weights, self._intercept = self._session.run(self._step.updated, self._feed(rows))
            progress(done + 1, total)

    def outputs(self) -> "dict[str, Shares]":
        """Return the weights, and how many held-out rows of each class fall into each bin."""
        weights = np.vstack([self._weights, self._intercept])[:, 0]
        found = {"weights": weights}
        if self._rows < len(self._x):
            rows = slice(self._rows, None)
            scores, others = self._session.run(
                [self._step.scores, self._step.others], self._feed(rows)
            )
            classes = np.hstack([others, self._y[rows]])
            bins = self._parameters["score-bins"]
            found["histogram"] = histogram(self._session, scores, classes, bins)
        return found

    def _feed(self, rows: slice) -> "dict[Any, Shares]":
        step = self._step
        return {
            step.x: self._x[rows],
            step.y: self._y[rows],
            step.weights: self._weights,
            step.intercept: self._intercept,
        }


class Step:
    """The graph of one step of gradient descent."""

    def __init__(self, width: int, batch: int, parameters: "Parameters") -> None:
        self.x, self.y = placeholder(None, width), placeholder(None, 1)
        self.weights, self.intercept = placeholder(width, 1), placeholder(1, 1)
        self.scores = tf.matmul(self.x, self.weights) + self.intercept
        self.others = 1.0 - self.y
        rate, l2 = parameters["learning-rate"], parameters["l2"]
        error = rate * (sigmoid(self.scores, parameters["sigmoid"]) - self.y)
        slope = mean(tf.matmul(self.x, error, transpose_a=True), batch)
        if l2:
            slope = slope + (rate * l2) * self.weights
        offset = mean(tf.matmul(np.ones((1, batch)), error), batch)
        self.updated = [self.weights - slope, self.intercept - offset]


def histogram(session: Any, scores: "Shares", classes: "Shares", bins: int) -> "Shares":
    """Return shares of 2 × bins counts: rows with label 0 and 1 by score.

    Parameters
    ----------
    scores : ndarray of shares, shape (rows, 1)
    classes : ndarray of shares, shape (rows, 2)
    bins : int
        Of equal width on ±`SCORES`; what lies outside is in the first and the last.
    """
    edges = np.linspace(-SCORES, SCORES, bins + 1)[None, 1:-1]
    size = min(len(scores), max(1, COMPARED // (bins - 1)))
    parts = []
    for start in range(0, len(scores), size):
        rows = slice(start, start + size)
        count = len(scores[rows])
        if start == 0 or count != size:
            score, label = placeholder(count, bins - 1), placeholder(count, 2)
            above = tf.cast(tf.greater(score, np.tile(edges, (count, 1))), tf.float64)
            total = tf.matmul(label, np.ones((count, 1)), transpose_a=True)
            graph = [total, tf.matmul(label, above, transpose_a=True)]
        fed = {score: np.tile(scores[rows], (1, bins - 1)), label: classes[rows]}
        parts.append(np.hstack(session.run(graph, fed)))
    # Rows above each edge, from all of them down to none: the differences are the bins.
    tails = [placeholder(2, bins) for _ in parts]
    differences = np.eye(bins) - np.eye(bins, k=-1)
    counts = tf.matmul(functools.reduce(operator.add, tails), differences)
    found: Shares = session.run(counts, {tail: parts[n] for n, tail in enumerate(tails)})
    return found


def sigmoid(scores: Any, kind: str) -> Any:
    """Return the logistic function, or the cubic that lies close to it between -5 and 5."""
    if kind == "exact":
        return tf.sigmoid(scores)
    eighth = 0.125 * scores  # so that the small coefficient keeps its bits
    return 0.5 + scores * (0.15012 - 0.001593 * 64 * (eighth * eighth))


def mean(total: Any, count: int) -> Any:
    """Return a sum over `count` rows as their mean; 1/count alone would have few bits left."""
    power = 1 << (count.bit_length() - 1)
    halved = total * (1.0 / power)
    return halved if power == count else halved * (power / count)


def placeholder(rows: "int | None", columns: int) -> Any:
    """Return a place that is fed with shares."""
    return tf.placeholder(tf.float64, [rows, columns])
