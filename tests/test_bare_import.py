"""`import datatoken` works with no extra installed, and stays light."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

BLOCK = """
import importlib.abc, sys
class Block(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError("blocked: " + name)
sys.meta_path.insert(0, Block())
import {module}
print(sorted(m for m in {heavy!r} if m in sys.modules))
"""

EXTRAS = {"flwr", "numpy", "flask", "waitress", "tensorflow", "keras", "spu", "grpc", "ray"}


def run(module: str, blocked: set[str], heavy: set[str]) -> str:
    """Import `module` in a fresh interpreter in which some distributions do not exist."""
    code = BLOCK.format(module=module, blocked=blocked, heavy=heavy)
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize(
    "module",
    ["datatoken", "datatoken.ddo", "datatoken.authorization", "datatoken.authorization.gate",
     "datatoken.chain.reader", "datatoken.store", "datatoken.rounds.receipts", "datatoken.roles",
     "datatoken.trace", "datatoken.cli.app"],
)  # fmt: skip
def test_imports_without_any_extra(module):
    run(module, EXTRAS, set())


@pytest.mark.parametrize(
    "module",
    ["datatoken.authorization.gate", "datatoken.chain.reader", "datatoken.service.client",
     "fl_edge.supernode.gate"],
)  # fmt: skip
def test_a_gates_hot_path_does_not_load_web3(module):
    """web3 costs 0.8 s and 23 MB; a gate reads the chain without it."""
    assert run(module, set(), {"web3"}) == "[]"
