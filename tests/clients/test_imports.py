"""What runs on an owner's device is what was reviewed: operation code imports nothing of ours."""

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BUNDLES = [
    p.parent for kind in ("clients", "strategies") for p in (ROOT / kind).glob("*/operation.json")
]
ALLOWED = {"flwr", "numpy", "keras"} | set(sys.stdlib_module_names)


def imported(module: Path) -> Iterator[str]:
    """Yield the top-level packages that a module imports; its own package not among them."""
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield str(node.module).partition(".")[0]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 1, f"{module} reaches outside its own package"


@pytest.mark.parametrize("folder", BUNDLES, ids=lambda folder: folder.name)
def test_a_bundle_stands_alone(folder: Path) -> None:
    """Acceptance: 103."""
    found = {name for module in folder.rglob("*.py") for name in imported(module)}

    assert found <= ALLOWED


def test_there_are_bundles() -> None:
    assert {folder.name for folder in BUNDLES} >= {
        *("edgecomp_numpy", "edgecomp_keras", "edgecomp_cnn", "fedaverage", "fedaverage_dp"),
        *("fedprox", "fedadam", "fedyogi", "krum", "trimmed_mean"),
    }
