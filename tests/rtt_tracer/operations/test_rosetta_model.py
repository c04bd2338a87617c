"""The model on Rosetta is the one on SPU: same encoding, same parameters, same outputs."""

import ast
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from datatoken.roles import complete_document
from rtt_tracer.bundle import bundle_folder, read_bundle
from rtt_tracer.document import read_source, source_fields
from rtt_tracer.engines.base import Role
from rtt_tracer.operations.logistic_regression_rosetta.encoding import share as on_rosetta
from rtt_tracer.operations.secret_sharing.share import share as on_spu
from tests.rtt_tracer.engines.rosetta_driver import RosettaRun
from tests.rtt_tracer.operations.parts import SHIPPED, defaults, two_banks

FOLDER = SHIPPED / "logistic_regression_rosetta"
PINNED = {"latticex-rosetta": "0.3.0", "tensorflow": "1.14.0", "numpy": "1.16.6"}
ALLOWED = {"collections", "functools", "json", "operator", "typing"}
ALLOWED |= {"numpy", "tensorflow", "latticex"}
MODULES = sorted(FOLDER.glob("*.py"))


def parameters(**given: Any) -> dict[str, Any]:
    both = defaults("secret_sharing", "logistic_regression_rosetta")
    return {**both, "label": "bad", **{name.replace("_", "-"): v for name, v in given.items()}}


@pytest.mark.parametrize(
    "given",
    [{}, {"scaling": "public", "columns": "amount,age,home,late"}, {"seed": 7},
     {"amounts": "age", "max_categories": 3}, {"label_party": 1, "columns": "age,late"}],
    ids=str,
)  # fmt: skip
def test_rows_are_encoded_as_secret_sharing_does(given: dict[str, Any]) -> None:
    """Acceptance: 83."""
    wanted = parameters(**given)

    for party, table in enumerate(two_banks(500)):
        mine, other = on_rosetta(table, wanted, party), on_spu(table, wanted, party)
        assert mine.keys() == other.keys()
        assert ("y" in mine) == (party == wanted["label-party"])
        for name, values in mine.items():
            np.testing.assert_array_equal(values, other[name])


def test_labels_that_are_none_are_refused() -> None:
    table, _ = two_banks(50)

    with pytest.raises(ValueError, match="other values than 0 and 1"):
        on_rosetta({**table, "bad": table["age"]}, parameters(), 0)
    with pytest.raises(ValueError, match="no label column"):
        on_rosetta(table, parameters(label="late"), 0)


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_its_code_is_python_36_and_stands_alone(module: Path) -> None:
    """Acceptance: 103."""
    tree = ast.parse(module.read_text(encoding="utf-8"), feature_version=(3, 6))

    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= ALLOWED
        if isinstance(node, ast.ImportFrom):
            assert node.level == 1 or str(node.module).partition(".")[0] in ALLOWED


def test_it_is_registered_with_the_parameters_of_the_model_on_spu() -> None:
    """Acceptance: 52, 83, 98."""
    bundle, source = bundle_folder(FOLDER), read_source(FOLDER)

    program = read_bundle(bundle).program
    document = complete_document(bundle, "0x" + "ab" * 20, source_fields(source, PINNED))

    assert program.role is Role.ROSETTA and program.rows
    assert program.stage_count({"epochs": 6, "checkpoint-every": 3}) == 2
    assert {output.name for output in program.outputs} == {"weights", "histogram"}
    assert document.lock == PINNED
    assert document.parameters["protocol"].enum == ["SecureNN"]
    for name in ("secret_sharing", "logistic_regression"):
        plain = read_source(SHIPPED / name).parameters
        for key in plain.keys() - {"encoding", "bins", "binning"}:
            assert document.parameters[key].default == plain[key].default, key
            assert document.parameters[key].maximum == plain[key].maximum, key


@pytest.mark.rosetta
def test_its_other_choices_train_the_model_of_the_clear(tmp_path: Path) -> None:
    """Labels of the second bank, Rosetta's own sigmoid, a penalty, no row held out.

    Acceptance: 83, 97.
    """
    wanted = parameters(label_party=1, sigmoid="exact", l2=0.05, holdout=0.0, batch_size=100)
    wanted |= {"epochs": 4, "checkpoint-every": 2, "fraction-bits": 16}
    tables = two_banks(400)

    with RosettaRun(tmp_path, bundle_folder(FOLDER), tables, wanted) as run:
        run.run(stages=2)
        opened = run.open()

    assert opened.keys() == {"weights"}
    np.testing.assert_allclose(opened["weights"], in_the_clear(tables, wanted), atol=0.05)


def in_the_clear(tables: Any, wanted: dict[str, Any]) -> np.ndarray:
    arrays = [on_spu(table, wanted, party) for party, table in enumerate(tables)]
    x, y = np.hstack([arrays[0]["x"], arrays[1]["x"]]), arrays[1]["y"]
    weights, intercept, batch = np.zeros((x.shape[1], 1)), 0.0, wanted["batch-size"]
    for _ in range(wanted["epochs"]):
        for start in range(0, len(x), batch):
            rows = slice(start, start + batch)
            error = 1 / (1 + np.exp(-(x[rows] @ weights + intercept))) - y[rows]
            slope = x[rows].T @ error / batch + wanted["l2"] * weights
            weights, intercept = weights - slope, intercept - error.mean()
    return np.append(weights.ravel(), intercept)
