"""The gas figures that the README states, measured on a real chain."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "gas.py"


def test_writes_cost_what_was_promised() -> None:
    """Acceptance: 106."""
    command = [sys.executable, str(BENCHMARK), "--json"]

    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert set(found) == {
        "mint",
        "grant",
        "revoke",
        "post_job_base",
        "post_job_per_leaf",
        "post_job_per_composite",
        "round_log",
        "view_ms_100",
    }
    assert 90_000 < found["mint"] <= 102_000
    assert 45_000 < found["grant"] <= 53_000
    assert 30_000 < found["revoke"] <= 38_000
    assert 100_000 < found["post_job_base"] <= 120_000
    assert 2_000 < found["post_job_per_leaf"] <= 3_100
    assert 5_000 < found["post_job_per_composite"] <= 8_500
    assert 25_000 < found["round_log"] <= 31_000
