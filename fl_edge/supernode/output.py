"""Whatever flwr and apps print becomes JSON lines, between the gate's own.

Apps inherit this process's outputs. They get a pipe instead of the log, and each line that comes
out of it is wrapped: no app can write a line that looks like one of the gate.
"""

import json
import os
import re
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TextIO

import structlog

EVENT = "output"
MAX_LINE = 16 * 1024
_COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_LEVEL = re.compile(r"(DEBUG|INFO|WARNING|ERROR|CRITICAL)\b")
_DRAIN_SECONDS = 2.0


@contextmanager
def json_output() -> Iterator[None]:
    """Log JSON lines only, also what others print; on a terminal all stays as it is."""
    if sys.stderr.isatty():
        yield
        return
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    kept = {number: os.dup(number) for number in (1, 2)}  # not inherited by apps
    before = structlog.get_config()
    with os.fdopen(os.dup(kept[2]), "w", encoding="utf-8", errors="replace") as log:
        structlog.configure(**{**before, "logger_factory": structlog.WriteLoggerFactory(log)})
        reading, writing = os.pipe()
        for number in kept:
            os.dup2(writing, number)
        os.close(writing)
        pump = threading.Thread(target=_pump, args=(reading, log), name="output", daemon=True)
        pump.start()
        try:
            yield
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            for number, handle in kept.items():
                os.dup2(handle, number)
                os.close(handle)
            pump.join(_DRAIN_SECONDS)  # an app that lives on holds the pipe
            structlog.configure(**before)


def _pump(reading: int, log: TextIO) -> None:
    """Wrap line by line, until nobody can write any more."""
    said = structlog.WriteLogger(log)  # it shares the lock of the gate's own lines
    with os.fdopen(reading, "rb") as source:
        while line := source.readline(MAX_LINE):
            text = _COLOURS.sub("", line.decode("utf-8", "replace")).rstrip()
            if not text:
                continue
            try:
                said.msg(wrapped(text))
            except (OSError, ValueError):  # the log is gone: keep the pipe empty all the same
                continue


def wrapped(text: str) -> str:
    """Return a printed line as a line of the log."""
    found = _LEVEL.match(text)
    level = found[1].lower() if found else "info"
    now = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    line = {"event": EVENT, "text": text, "level": level, "timestamp": now}
    return json.dumps(line, ensure_ascii=False)
