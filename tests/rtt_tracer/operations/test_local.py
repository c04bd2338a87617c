"""An owner's own model, held against scikit-learn."""

from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from datatoken.errors import BadInputError
from examples.support.credit import LABEL, load_credit
from rtt_tracer.operations import reading
from rtt_tracer.operations.local_logistic_regression.train import auc, histogram, run
from rtt_tracer.operations.secret_sharing.share import share
from tests.rtt_tracer.operations.parts import defaults, table, two_banks

AUC_ALONE = {"A": 0.716, "B": 0.746}
"""scikit-learn, five folds, the same encoding."""


def parameters(**more: Any) -> dict[str, Any]:
    return defaults("secret_sharing", "local_logistic_regression") | {"label": "bad"} | more


def test_the_model_is_scikit_learns() -> None:
    a, _ = two_banks(2000)

    found = run(a, parameters())

    shared = share(a, parameters(), 0)
    x, y = shared["x"], shared["y"][:, 0]
    model = LogisticRegression(C=1000.0, tol=1e-10, max_iter=10_000).fit(x[:1600], y[:1600])
    scores = model.decision_function(x[1600:])
    assert found["auc"] == pytest.approx(roc_auc_score(y[1600:], scores), abs=2e-3)
    np.testing.assert_allclose(
        x[1600:] @ found["weights"][:-1] + found["weights"][-1], scores, atol=0.02
    )


def test_auc_and_histogram_count_the_same_rows() -> None:
    rng = np.random.default_rng(3)
    y = (rng.random(3000) < 0.3).astype(float)
    scores = np.round(rng.normal(y, 1.2), 1)  # with ties

    assert auc(scores, y) == pytest.approx(roc_auc_score(y, scores))
    counts = histogram(scores, y, 200)
    assert counts.sum() == 3000 and counts[1].sum() == y.sum()
    assert reading.auc(counts) == pytest.approx(auc(scores, y), abs=0.003)


@pytest.mark.parametrize(
    ("label", "message"), [("", "no label column"), ("late", "no label column"), ("age", "0 and 1")]
)
def test_a_table_without_labels_is_said_to_be_one(label: str, message: str) -> None:
    a, _ = two_banks(100)

    with pytest.raises(ValueError, match=message):
        run(a, parameters(label=label))


def test_rows_of_one_label_alone_give_no_model() -> None:
    a, _ = two_banks(100)

    with pytest.raises(ValueError, match="both labels"):
        run({**a, "bad": np.zeros(100)}, parameters())


@pytest.mark.parametrize("bank", ["A", "B"])
def test_each_bank_alone_on_the_credit_records(bank: str) -> None:
    """The reference of the joint model: what a bank's own columns are worth."""
    try:
        credit = load_credit()
    except BadInputError as error:
        pytest.skip(error.message)
    if "credit card clients" not in credit.title:
        pytest.skip("the credit-default records are absent; others stand in for them")
    frame, schema = credit.tables[bank], credit.schema(bank)
    rows = table(
        schema.model_dump(exclude_none=True), {name: frame[name] for name in schema.columns}
    )

    found = run(rows, parameters(label=LABEL))

    assert float(found["auc"]) == pytest.approx(AUC_ALONE[bank], abs=0.008)
    assert found["histogram"].sum() == 6000
