"""Watches the operation's processes and ends them all: the last thing that is left of a run."""

import contextlib
import os
import select
import signal
import time
from collections.abc import Callable
from typing import Any

from . import usage

Say = Callable[[dict[str, Any]], None]
TURN = 0.1
LOOK = 5  # turns


class Guard:
    """Parent of the operation, and of everything that it leaves behind.

    Parameters
    ----------
    child : int
        The operation's own process.
    alone : bool
        Whether this process is the first of a process namespace: then whatever else runs
        there belongs to the operation.
    lifeline : int
        Descriptor that closes when the supervisor ends.
    say : callable
        Tells the supervisor.
    """

    def __init__(
        self,
        child: int,
        alone: bool,
        lifeline: int,
        folder: str,
        limits: dict[str, float],
        say: Say,
    ) -> None:
        self._child, self._alone, self._lifeline = child, alone, lifeline
        self._folder, self._limits, self._say = folder, limits, say

    def watch(self) -> None:
        """Wait until the operation ends, or has to; leave nothing of it behind."""
        os.set_blocking(self._lifeline, False)
        turn, status, ending = 0, None, False
        deadline = float("inf")
        while status is None:
            word = self._heard()
            if word == b"":
                break  # the supervisor is gone
            if word is not None and not ending:
                ending, deadline = True, time.monotonic() + self._limits["grace_seconds"]
                self._signal(signal.SIGTERM)
            if time.monotonic() > deadline:
                break
            turn += 1
            if turn % LOOK == 0 and (reason := self._exceeded()):
                self._say({"exceeded": reason})
                break
            status = self._reap()
        left = self._end()
        if status is not None:
            self._say({"exit": status, "left": left})

    def _heard(self) -> bytes | None:
        """Return the supervisor's word, b"" when it is gone, None when there is none."""
        ready, _, _ = select.select([self._lifeline], [], [], TURN)
        if not ready:
            return None
        with contextlib.suppress(BlockingIOError):
            return os.read(self._lifeline, 64)
        return None

    def _reap(self) -> int | None:
        """Collect what has ended; return the operation's exit code once it is among them."""
        code = None
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self._child:
                    code = os.waitstatus_to_exitcode(status)
        return code

    def _pids(self) -> list[int]:
        return usage.descendants(os.getpid())

    def _exceeded(self) -> str | None:
        return usage.exceeded(usage.measure(self._pids(), self._folder), self._limits)

    def _signal(self, number: int) -> int:
        """Signal all; return how many there were."""
        pids = self._pids()
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return len(pids)

    def _end(self) -> int:
        """Kill what is left; return how many processes that were."""
        self._reap()
        left = self._signal(signal.SIGKILL)
        while True:
            self._reap()
            if not self._signal(signal.SIGKILL):
                return left
            time.sleep(0.005)
