"""The process that puts shares together: it reads what strangers have left."""

import json
import os
import subprocess
from pathlib import Path

import pytest

from datatoken.errors import RunFailedError
from rtt_tracer.engines.child_process import argv, environment
from rtt_tracer.engines.spu import SpuEngine
from tests.rtt_tracer.engines.driver import PYTHON

pytestmark = pytest.mark.spu


def test_opening_ends_with_the_party_that_asked(tmp_path: Path) -> None:
    """A killed party leaves no process behind, whatever a peer's shares keep it busy with."""
    os.mkfifo(tmp_path / "manifest.json")  # reading it never ends
    order = {"folders": [str(tmp_path)], "out": str(tmp_path / "out.npz")}
    with subprocess.Popen(
        argv(PYTHON, "reconstruct"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment(tmp_path),
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(order).encode() + b"\n")
        process.stdin.flush()
        try:
            # Opened for writing as soon as the process has begun to read.
            writer = os.open(tmp_path / "manifest.json", os.O_WRONLY)
            assert process.poll() is None
            process.stdin.close()
            assert process.wait(60) == 1
            os.close(writer)
        finally:
            process.kill()


def test_shares_that_are_none_end_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"rank": 0, "field": "FM64"}')

    with pytest.raises(RunFailedError, match="can't be opened"):
        SpuEngine(PYTHON).reconstruct([tmp_path], tmp_path / "out.npz")
