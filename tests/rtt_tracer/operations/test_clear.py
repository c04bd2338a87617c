"""The operations' own JAX code on plain arrays, held against scikit-learn and NumPy.

It runs with the versions of JAX and NumPy that the SPU engine has: what is compiled for the
ring later is this code, and nothing else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from rtt_tracer.operations import reading
from rtt_tracer.operations.secret_sharing.share import share
from tests.rtt_tracer.operations.parts import SCHEMA_A, SCHEMA_B, clear, defaults, two_banks

pytestmark = pytest.mark.spu


def shared(parameters: dict[str, Any], rows: int) -> dict[str, np.ndarray]:
    """Return what both banks give to a joint computation, by input name."""
    return {
        f"{name}{party}": array
        for party, bank in enumerate(two_banks(rows))
        for name, array in share(bank, parameters, party).items()
    }


def trained(tmp_path: Path, **more: Any) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    parameters = defaults("secret_sharing", "logistic_regression") | {"label": "bad"} | more
    inputs = shared(parameters, 3000)
    return inputs, clear(tmp_path, "logistic_regression", inputs, parameters)


def scores(inputs: dict[str, np.ndarray], weights: np.ndarray) -> np.ndarray:
    x = np.column_stack([inputs["x0"], inputs["x1"]])
    return np.asarray(x @ weights[:-1] + weights[-1])


@pytest.mark.parametrize("sigmoid", ["cubic", "exact"])
def test_joint_training_finds_what_scikit_learn_finds(tmp_path: Path, sigmoid: str) -> None:
    inputs, found = trained(tmp_path, epochs=40, sigmoid=sigmoid, **{"batch-size": 512})

    x, y = np.column_stack([inputs["x0"], inputs["x1"]]), inputs["y0"][:, 0]
    best = LogisticRegression(C=1e6, max_iter=5000).fit(x[:2400], y[:2400])
    expected = roc_auc_score(y[2400:], best.decision_function(x[2400:]))
    mine = roc_auc_score(y[2400:], scores(inputs, found["weights"])[2400:])
    assert mine == pytest.approx(expected, abs=0.005)
    assert mine > roc_auc_score(y[2400:], inputs["x1"][2400:, 0]) + 0.05


def test_histogram_counts_the_held_out_rows_and_gives_their_auc(tmp_path: Path) -> None:
    inputs, found = trained(tmp_path, **{"score-bins": 200})

    y, held = inputs["y0"][2400:, 0], scores(inputs, found["weights"])[2400:]
    expected = [np.histogram(held[y == k], np.linspace(-5, 5, 201))[0] for k in (0, 1)]
    assert found["histogram"].sum(axis=1).tolist() == [(1 - y).sum(), y.sum()]
    assert np.abs(found["histogram"] - expected).sum() <= 4, "rounding at an edge"
    assert reading.auc(found["histogram"]) == pytest.approx(roc_auc_score(y, held), abs=0.002)


def test_no_held_out_row_is_trained_on(tmp_path: Path) -> None:
    parameters = defaults("secret_sharing", "logistic_regression") | {"label": "bad"}
    inputs = shared(parameters, 3000)
    other = {name: array.copy() for name, array in inputs.items()}
    for array in other.values():
        array[2400:] = 1 - array[2400:]
    for name in ("one", "other"):
        (tmp_path / name).mkdir()

    first = clear(tmp_path / "one", "logistic_regression", inputs, parameters)
    second = clear(tmp_path / "other", "logistic_regression", other, parameters)

    assert (first["weights"] == second["weights"]).all()
    assert (first["histogram"] != second["histogram"]).any()


def test_checkpoints_do_not_change_the_model(tmp_path: Path) -> None:
    for name in ("each", "all"):
        (tmp_path / name).mkdir()

    _, each = trained(tmp_path / "each", epochs=4)
    _, together = trained(tmp_path / "all", epochs=4, **{"checkpoint-every": 4})

    np.testing.assert_allclose(each["weights"], together["weights"], atol=1e-5)


def test_a_penalty_shrinks_the_weights_and_no_holdout_gives_no_histogram(tmp_path: Path) -> None:
    for name in ("free", "held"):
        (tmp_path / name).mkdir()

    _, free = trained(tmp_path / "free", epochs=10)
    _, held = trained(tmp_path / "held", epochs=10, l2=0.1, holdout=0.0)

    assert np.abs(held["weights"]).sum() < 0.8 * np.abs(free["weights"]).sum()
    assert set(held) == {"weights"}


def test_two_parties_with_labels_are_refused(tmp_path: Path) -> None:
    parameters = defaults("secret_sharing", "logistic_regression") | {"label": "bad"}
    inputs = shared(parameters, 300)

    with pytest.raises(AssertionError, match="exactly one party must give labels"):
        clear(tmp_path, "logistic_regression", {**inputs, "y1": inputs["y0"]}, parameters)


def test_joint_statistics_are_numpys(tmp_path: Path) -> None:
    parameters = defaults("secret_sharing", "joint_statistics")
    parameters |= {"label": "bad", "encoding": "statistics"}
    a, b = two_banks(3000)

    found = clear(tmp_path, "joint_statistics", shared(parameters, 3000), parameters)

    names = reading.number_names([SCHEMA_A, SCHEMA_B], parameters)
    assert names == ["age", "amount", "bad", "income", "late"]
    columns = np.array([{**a, **b}[name] for name in names], np.float64)
    np.testing.assert_allclose(found["mean"], columns.mean(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found["deviation"], columns.std(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found["correlation"], np.corrcoef(columns), atol=1e-4)


def test_counts_by_bin_and_label_hide_small_cells(tmp_path: Path) -> None:
    parameters = defaults("secret_sharing", "joint_statistics")
    parameters |= {"label": "bad", "encoding": "statistics", "min-cell": 30}
    a, b = two_banks(3000)

    counts = clear(tmp_path, "joint_statistics", shared(parameters, 3000), parameters)["counts"]

    names = reading.bin_names([SCHEMA_A, SCHEMA_B], parameters)
    late = {name: counts[place] for place, (column, name) in enumerate(names) if column == "late"}
    assert list(late) == ["-2", "-1", "0", "1", "2", "others"]
    hidden = 0
    for name, cells in late.items():
        here = b["late"] >= 3 if name == "others" else b["late"] == int(name)
        exact = [(here & (a["bad"] == label)).sum() for label in (0, 1)]
        hidden += sum(0 < count < 30 for count in exact)
        assert cells.tolist() == [count if count >= 30 else 0 for count in exact]
    assert hidden > 0, "no cell was small: the test shows nothing"
    age = [place for place, (column, _) in enumerate(names) if column == "age"]
    assert (counts[age].sum(axis=1) > 0).all() and len(age) == parameters["bins"]


def test_counts_without_labels(tmp_path: Path) -> None:
    parameters = defaults("secret_sharing", "joint_statistics") | {"encoding": "statistics"}

    counts = clear(tmp_path, "joint_statistics", shared(parameters, 400), parameters)["counts"]

    assert counts.shape[1] == 1
    names = reading.bin_names([SCHEMA_A, SCHEMA_B], parameters)
    assert counts[[column == "age" for column, _ in names]].sum() == 400


def test_a_handful_of_rows_is_not_described(tmp_path: Path) -> None:
    """The mean of nine customers says something of each of them."""
    parameters = defaults("secret_sharing", "joint_statistics") | {"encoding": "statistics"}

    with pytest.raises(AssertionError, match="fewer rows than min-cell"):
        clear(tmp_path, "joint_statistics", shared(parameters, 9), parameters)
