"""A, B and users at addresses of their own, TLS and SuperNode authentication on."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fl_edge.harness import ROOT
from tests.support.hosts import enter, why_not

INSIDE = Path(__file__).parent / "inside.py"


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_parties_on_hosts_of_their_own_and_a_link_that_breaks(tmp_path: Path) -> None:
    """Runs `inside.py` in a user namespace. Acceptance: 76, 104."""
    if why := why_not():
        pytest.fail(f"This machine can't make networks in a user namespace: {why}.", pytrace=False)
    command = [sys.executable, "-m", "pytest", "-n0", "-p", "no:cacheprovider", "-o", "addopts="]
    command += [f"--basetemp={tmp_path / 'inside'}", str(INSIDE)]

    done = subprocess.run(
        enter(command), capture_output=True, text=True, cwd=ROOT, check=False, timeout=880
    )

    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    assert " passed" in done.stdout
