"""The same tests on every version of flwr that is supported, each in an environment of its own."""

import os
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.fl_edge.harness import ROOT

TOOLS = ("pytest", "pytest-timeout", "hypothesis")
CHOSEN = "not processes and not contract or plain_flwr_run or one_line_changed"
FOLDERS = ("fab", "strategy", "superlink")


@pytest.mark.contract
@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("flwr", ["1.40.0", "1.41.0"])
def test_contract_with_flwr(flwr: str, tmp_path: Path) -> None:
    """Seams, gate, strategies, and real processes of that version. Acceptance: 36, 103, 104"""
    uv = shutil.which("uv")
    if uv is None:
        pytest.fail("There is no uv; run the tests by `make test-slow`.")
    python = tmp_path / "venv" / "bin" / "python"
    environment = {**os.environ, "FLWR_TELEMETRY_ENABLED": "0", "PYTHONPATH": str(ROOT)}
    needs = [f"{ROOT}[flower,service]", f"flwr=={flwr}", *(f"{n}=={version(n)}" for n in TOOLS)]
    for command in (
        [uv, "venv", "-q", "--python", sys.executable, str(tmp_path / "venv")],
        [uv, "pip", "install", "-q", "--python", str(python), *needs],
    ):
        subprocess.run(command, check=True, env=environment, cwd=tmp_path, timeout=300)

    folders = [str(ROOT / "tests" / "fl_edge" / name) for name in FOLDERS]
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", CHOSEN, *folders]
    ended = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert ended.returncode == 0, ended.stdout[-6000:] + ended.stderr[-2000:]
