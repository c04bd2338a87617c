"""MVP 2 whole, on a node with PlatON's rules: what a user of PlatON gets to see.

Acceptance: 97 (PlatON)
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

pytestmark = [pytest.mark.demo, pytest.mark.slow, pytest.mark.timeout(1500)]


def test_mvp2_on_the_stand_in(tmp_path: Path) -> None:
    """Acceptance: 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 79, 82, 97 (PlatON), 111."""
    command = [sys.executable, "-m", "examples.mvp2_wearables", "--network", "platon-stand-in"]
    size = ["--users", "2", "--rounds", "2"]

    done = subprocess.run(
        [*command, *size, "--json", "--out", str(tmp_path)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=1400,
    )

    assert done.returncode == 0, done.stderr[-4000:]
    told = json.loads(done.stdout.strip().splitlines()[-1])
    assert told["members_by_round"] == [["user-1", "user-2"]] * 2
    codes = {refusal["code"] for refusal in told["refusals"]}
    assert codes >= {"OPERATION_MISMATCH", "JOB_UNKNOWN", "CHAIN_UNREACHABLE"}
    (deployment,) = tmp_path.glob("*/deployment.json")
    assert json.loads(deployment.read_text())["profile"] == "platon-stand-in"
