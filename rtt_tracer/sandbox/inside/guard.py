"""Watches the operation's processes and ends them all: the last thing that is left of a run."""

import contextlib
import os
import select
import signal
import time

from . import usage
from .launch import Launch

TURN = 0.1
LOOK = 5  # turns


class Guard:
    """Parent of the operation, and of everything that it leaves behind.

    Parameters
    ----------
    child : int
        The operation's own process.
    alone : bool
        Whether this is the first process of a process namespace: then whatever else runs
        there belongs to the operation.
    counted : bool
        Whether /proc shows the operation's processes.
    lifeline : int
        Descriptor that closes when the supervisor ends.
    """

    def __init__(
        self, child: int, alone: bool, counted: bool, lifeline: int, launch: Launch
    ) -> None:
        self._child, self._alone, self._counted = child, alone, counted
        self._lifeline, self._launch = lifeline, launch

    def watch(self) -> None:
        """Wait until the operation ends, or has to; leave nothing of it behind."""
        os.set_blocking(self._lifeline, False)
        wake, signalled = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
        looked, deadline = time.monotonic(), float("inf")
        while (status := self._reap()) is None:
            word = self._heard(wake)
            if word == b"":
                break  # the supervisor is gone
            if word is not None and deadline == float("inf"):
                deadline = time.monotonic() + self._launch.limits["grace_seconds"]
                self._signal(signal.SIGTERM)
            if time.monotonic() > deadline:
                break
            if time.monotonic() > looked + TURN * LOOK:
                looked = time.monotonic()
                if reason := self._exceeded():
                    self._launch.say({"exceeded": reason})
                    break
        left = self._end()
        if status is not None:
            self._launch.say({"exit": status, "left": left})

    def _heard(self, wake: int) -> bytes | None:
        """Return the supervisor's word, b"" when it is gone, None when there is none."""
        ready, _, _ = select.select([self._lifeline, wake], [], [], TURN)
        if wake in ready:
            os.read(wake, 512)
        if self._lifeline in ready:
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
        if self._alone and self._counted:
            return [int(name) for name in os.listdir("/proc") if name.isdecimal() and name != "1"]
        return usage.descendants(os.getpid()) if self._counted else []

    def _exceeded(self) -> str | None:
        found = usage.measure(self._pids(), self._launch.folder)
        return usage.exceeded(found, self._launch.limits)

    def _signal(self, number: int) -> int:
        """Signal all; return how many there were, as far as that can be seen."""
        pids = self._pids()
        if self._alone:
            with contextlib.suppress(ProcessLookupError):
                os.kill(-1, number)
            return len(pids)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, number)
        return len(pids)

    def _end(self) -> int:
        """Kill what is left; return how many processes that were."""
        left = self._signal(signal.SIGKILL)
        while True:
            self._reap()
            if not self._signal(signal.SIGKILL):
                return left
            time.sleep(0.002)
