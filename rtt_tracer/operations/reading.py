"""What a requester does with opened results: AUC, names of features, weights of evidence.

Pure functions of results, of public schemas and of the run configuration.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rtt_tracer.operations.secret_sharing import describing, encoding
from rtt_tracer.operations.secret_sharing.columns import Column, Parameters, features, names_in

Schema = Mapping[str, Any]
"""A table schema's JSON, as an owner's DDO declares it."""


def auc(histogram: np.ndarray) -> float:
    """Return the AUC of scores of which only the histogram is known; rows of one bin are ties.

    Parameters
    ----------
    histogram : ndarray, shape (2, bins)
        Rows with label 0 and with label 1, from the lowest scores to the highest.

    Raises
    ------
    ValueError
        When one of the labels has no rows, or a count is negative.
    """
    counts = np.rint(np.asarray(histogram, np.float64))
    if counts.ndim != 2 or len(counts) != 2 or (counts < 0).any() or not counts.sum(1).all():
        raise ValueError("the histogram does not count rows of two labels")
    zeros, ones = counts
    below = np.cumsum(zeros) - zeros / 2
    return float((ones * below).sum() / (zeros.sum() * ones.sum()))


def feature_names(schemas: Sequence[Schema], parameters: Parameters) -> list[str]:
    """Return what each weight of a joint model stands for, without the intercept.

    Parameters
    ----------
    schemas : sequence of mapping
        Of the input parties, in order.
    parameters : mapping
        The effective run configuration.

    Raises
    ------
    ValueError
        When `columns` names one that no party has.
    """
    return [
        name
        for columns in _columns(schemas, parameters)
        for name in encoding.feature_names(columns, parameters)
    ]


def number_names(schemas: Sequence[Schema], parameters: Parameters) -> list[str]:
    """Return the columns that joint statistics describe; raise `ValueError` as above."""
    return [
        name
        for party, columns in enumerate(_columns(schemas, parameters))
        for name in describing.number_names(_labelled(columns, party, parameters))
    ]


def bin_names(schemas: Sequence[Schema], parameters: Parameters) -> list[tuple[str, str]]:
    """Return (column, bin) of each row of joint statistics' counts."""
    return [
        name
        for columns in _columns(schemas, parameters)
        for name in describing.bin_names(columns, parameters)
    ]


def weights_of_evidence(counts: np.ndarray) -> np.ndarray:
    """Return ln(share of label 1 / share of label 0) of each bin of one column.

    Half a row is added to every cell, so that a bin without one of the labels has a finite
    weight. A bin without any rows (or hidden ones) has weight 0.

    Parameters
    ----------
    counts : ndarray, shape (bins, 2)
    """
    shares = _shares(counts)
    return np.where(_filled(counts), np.log(shares[:, 1] / shares[:, 0]), 0.0)


def information_value(counts: np.ndarray) -> float:
    """Return the information value of one column: how well its bins tell the labels apart."""
    shares = _shares(counts)[_filled(counts)]
    return float(((shares[:, 1] - shares[:, 0]) * np.log(shares[:, 1] / shares[:, 0])).sum())


def _shares(counts: np.ndarray) -> np.ndarray:
    found = np.rint(np.asarray(counts, np.float64)) + 0.5
    shares: np.ndarray = found / found.sum(axis=0)
    return shares


def _filled(counts: np.ndarray) -> np.ndarray:
    filled: np.ndarray = np.rint(counts).sum(axis=1) > 0
    return filled


def _columns(schemas: Sequence[Schema], parameters: Parameters) -> list[list[Column]]:
    known = {name for schema in schemas for name in schema["columns"]}
    if unknown := sorted(names_in(parameters["columns"]) - known):
        raise ValueError(f"no party has a column {unknown[0]}")
    return [features(schema, parameters) for schema in schemas]


def _labelled(columns: list[Column], party: int, parameters: Parameters) -> list[Column]:
    label = parameters["label"]
    return [*columns, Column(label)] if label and party == parameters["label-party"] else columns
