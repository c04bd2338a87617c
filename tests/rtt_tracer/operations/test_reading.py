"""What a requester makes of opened results, held against scikit-learn and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from rtt_tracer.operations.reading import auc, information_value, weights_of_evidence


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12))
def test_auc_of_a_histogram_is_that_of_its_rows(bins: list[tuple[int, int]]) -> None:
    counts = np.array([*bins, (1, 1)]).T
    score = np.repeat(np.arange(counts.shape[1]), counts.sum(axis=0))
    label = np.concatenate([[0] * zeros + [1] * ones for zeros, ones in counts.T])

    assert auc(counts) == pytest.approx(roc_auc_score(label, score))


def test_auc_reads_counts_that_a_ring_gave_with_noise() -> None:
    exact = np.array([[5.0, 3, 1, 0], [0, 1, 2, 4]])

    assert auc(exact + 0.01) == auc(exact)


@pytest.mark.parametrize("counts", [[[1, 2], [0, 0]], [[1, 2, 3]], [[1, -2], [1, 2]]])
def test_auc_of_a_histogram_that_counts_no_two_labels(counts: list[list[int]]) -> None:
    with pytest.raises(ValueError, match="two labels"):
        auc(np.array(counts))


def test_weights_of_evidence_by_hand() -> None:
    counts = np.array([[79.5, 9.5], [19.5, 29.5], [0, 0]])  # + 0.5 in each cell

    found = weights_of_evidence(counts)

    zeros, ones = np.rint(counts[:, 0]) + 0.5, np.rint(counts[:, 1]) + 0.5
    expected = np.log((ones / ones.sum()) / (zeros / zeros.sum()))
    np.testing.assert_allclose(found[:2], expected[:2])
    assert found[2] == 0, "an empty or hidden bin says nothing"
    assert found[0] < 0 < found[1]


def test_information_value_tells_a_strong_column_from_a_weak_one() -> None:
    strong, weak = np.array([[90, 10], [10, 90]]), np.array([[50, 49], [50, 51]])

    assert information_value(strong) > 1 > 0.01 > information_value(weak) >= 0
