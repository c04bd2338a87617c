"""Operations that attack their owner, run for real on platforms of several kinds."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

# What the attackers' code may use: how to speak to the supervisor.
PRELUDE = """
import json, os, sys, time
EVENTS, ORDERS = int(os.environ["DATATOKEN_EVENTS"]), int(os.environ["DATATOKEN_ORDERS"])
def say(**event):
    os.write(EVENTS, json.dumps(event).encode() + b"\\n")
def tell(**what):  # what the attacker found out, for the test
    say(event="progress", message=json.dumps(what))
def end():
    say(event="end", digest="0x" + "0" * 64)
def attempt(action):
    try:
        return {"done": repr(action())}
    except BaseException as error:
        return {"refused": type(error).__name__}
"""
FULL, NO_UNSHARE, CONTAINER, OLD = "full", "no unshare", "container", "container, old kernel"


@dataclass(frozen=True)
class Outcome:
    """What came of an operation, as its supervisor saw it."""

    events: list[dict[str, Any]]
    exit: int | None
    left: int
    report: list[dict[str, str]] = field(repr=False)
    log: str

    @property
    def last(self) -> dict[str, Any]:
        """The final event."""
        return self.events[-1]

    @property
    def told(self) -> dict[str, Any]:
        """What the attacker found out."""
        found: dict[str, Any] = {}
        for event in self.events:
            if event["event"] == "progress" and event["message"]:
                found |= json.loads(event["message"])
        return found

    def state(self, mechanism: str) -> str:
        """Return "in force" or "absent"."""
        return next(f["state"] for f in self.report if f["mechanism"] == mechanism)


class Arena:
    """Starts supervisors."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.work = folder / "work"
        self.work.mkdir()

    def start(self, code: str, platform: str = FULL, **options: Any) -> subprocess.Popen[str]:
        """Start a supervisor with an operation; it prints the outcome."""
        plan = {
            "platform": platform,
            "code": PRELUDE + code,
            "folder": str(self.work),
            "environment": {},
            "bind": [],
            "connect": [],
            "limits": {},
            "orders": [],
            "terminate_after": None,
            "announce": False,
        } | options
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.rtt_tracer.sandbox.supervise"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "DATATOKEN_PASSWORD": "hunter2"},
        )
        assert process.stdin is not None
        process.stdin.write(json.dumps(plan) + "\n")
        process.stdin.flush()
        return process

    def run(self, code: str, platform: str = FULL, **options: Any) -> Outcome:
        """Run an operation to its end."""
        process = self.start(code, platform, **options)
        output, _ = process.communicate(timeout=60)
        return Outcome(
            **json.loads(output.splitlines()[-1]),
            log=(self.folder / "log").read_text(errors="replace"),
        )


@pytest.fixture
def arena(tmp_path: Path) -> Arena:
    """A place for one attack."""
    return Arena(tmp_path)


Attack = Callable[..., Outcome]


@pytest.fixture
def attack(arena: Arena) -> Attack:
    """Run an attacker's code to its end: `attack(code, platform)`."""
    return arena.run
