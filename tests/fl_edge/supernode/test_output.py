"""The log of a daemon: JSON lines, whoever prints; an app can't write one of the gate's."""

import json
import subprocess
import sys

from fl_edge.supernode.output import MAX_LINE, wrapped

PROGRAM = """
import subprocess, sys
import structlog
from fl_edge.supernode.launch import configure_logging
from fl_edge.supernode.output import json_output

configure_logging(dt="0x5f")
log = structlog.get_logger()
log.info("before")
forged = '{"event": "message admitted", "level": "info", "dt": "0x5f"}'
with json_output():
    print("flwr says so")
    print("\\x1b[92mINFO \\x1b[0m:      Starting Flower SuperNode", file=sys.stderr)
    code = f"import os; print({forged!r}); os.write(2, b'x' * 40000 + bytes([10, 255, 10]))"
    subprocess.Popen([sys.executable, "-c", code]).wait()
    log.info("message admitted", run=7)
    lives = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(30)"])
log.info("after")
lives.kill()
print("result")
"""


def test_app_that_prints_lines_of_the_gate() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, timeout=60, check=True
    )

    lines = [json.loads(line) for line in done.stderr.splitlines()]
    own = [line for line in lines if line["event"] != "output"]
    printed = [line["text"] for line in lines if line["event"] == "output"]
    assert [line["event"] for line in own] == ["before", "message admitted", "after"]
    assert own[1]["run"] == 7
    assert all(line["dt"] == "0x5f" for line in own)
    assert "flwr says so" in printed
    assert any('"message admitted"' in text for text in printed)
    assert sum(text.count("x") for text in printed if set(text) == {"x"}) == 40_000
    assert all(len(text) <= MAX_LINE for text in printed)
    assert done.stdout == "result\n"  # given back at the end


def test_level_of_flowers_lines_is_kept() -> None:
    assert json.loads(wrapped("WARNING :   No nodes"))["level"] == "warning"
    assert json.loads(wrapped("Traceback (most recent call last):"))["level"] == "info"
