"""Tables and parameters for tests of the shipped operations."""

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rtt_tracer import operations

SHIPPED = Path(operations.__file__).parent
ROOT = Path(__file__).parents[3]
SPU = ROOT / ".engines" / "spu" / "bin" / "python"
NAMES = sorted(path.parent.name for path in SHIPPED.glob("*/operation.json"))
MINE = (
    "intersection",
    "joint_statistics",
    "local_logistic_regression",
    "logistic_regression",
    "secret_sharing",
)

SCHEMA_A: dict[str, Any] = {
    "key": "id",
    "columns": {
        "amount": {"type": "float", "minimum": -50_000, "maximum": 1_000_000},
        "age": {"type": "int", "minimum": 18, "maximum": 120},
        "home": {"type": "category", "categories": ["rent", "own", "other"]},
        "bad": {"type": "category", "categories": [0, 1]},
    },
}
SCHEMA_B: dict[str, Any] = {
    "key": "id",
    "columns": {
        "late": {"type": "category", "categories": [-2, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8]},
        "income": {"type": "float"},
        "bad": {"type": "category", "categories": [0, 1]},
    },
}


def defaults(*names: str) -> dict[str, Any]:
    """Return the effective parameters of some operations run together."""
    found: dict[str, Any] = {}
    for name in names:
        plain = json.loads((SHIPPED / name / "operation.json").read_text())
        found |= {key: spec["default"] for key, spec in plain["parameters"].items()}
    return found


def table(schema: Mapping[str, Any], columns: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Return a table as an operation reads it: columns and the owner's schema."""
    text = json.dumps(schema).encode()
    found = {name: np.asarray(values) for name, values in columns.items()}
    return {**found, "__schema__": np.frombuffer(text, np.uint8)}


def two_banks(rows: int, seed: int = 1) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return tables of A and B whose columns tell something of the label, together more."""
    rng = np.random.default_rng(seed)
    age, home = rng.integers(18, 90, rows), rng.integers(0, 3, rows)
    amount = np.round(np.exp(rng.normal(9, 1.5, rows))) * rng.choice([1, 1, 1, -1], rows)
    amount = np.clip(amount, -50_000, 1_000_000)
    late = np.clip(np.round(rng.normal(0, 1.5, rows)), -2, 8).astype(np.int64)
    income = rng.normal(30, 10, rows)
    score = 0.7 * late - 0.05 * (income - 30) + 0.8 * (home == 0) - 0.02 * (age - 50) - 1
    bad = (rng.random(rows) < 1 / (1 + np.exp(-score))).astype(np.int64)
    a = {"amount": amount, "age": age, "home": home, "bad": bad}
    b = {"late": late, "income": income, "bad": bad}
    return table(SCHEMA_A, a), table(SCHEMA_B, b)


def clear(
    folder: Path, operation: str, inputs: Mapping[str, np.ndarray], parameters: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Run a compute operation's JAX code on plain arrays, in the engine's own environment."""
    if not SPU.exists():
        pytest.fail("the SPU engine's environment is missing: make spu")
    np.savez(
        folder / "inputs.npz", **{name: array.astype(np.float32) for name, array in inputs.items()}
    )
    (folder / "parameters.json").write_text(json.dumps(dict(parameters)))
    script = Path(__file__).with_name("clear.py")
    done = subprocess.run(
        [SPU, script, SHIPPED / operation, folder], capture_output=True, text=True, timeout=240
    )
    assert done.returncode == 0, done.stderr[-3000:]
    with np.load(folder / "outputs.npz") as file:
        return dict(file)
