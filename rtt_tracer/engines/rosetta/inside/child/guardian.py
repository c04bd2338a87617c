"""Starts Rosetta and watches, because Rosetta itself is deaf while a peer is silent.

To the relay outside it talks over a Unix socket in the work folder, in JSON lines: first the
sockets go out, then the relay says ``linked`` once all peers are there and want the same, or
``failed`` at any time; the runner's word that its work is ``done`` goes the other way, and
comes back when all peers have done theirs.
"""

import contextlib
import ctypes
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any, Dict, Optional

from . import network
from .talk import EVENTS_FD, ORDERS_FD, say

LINK_FD = "DATATOKEN_LINK"
JOB, DOOR, FINISHED = "job.json", "link/door", "finished"
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from child.runner import main; main()"
CODE = str(Path(__file__).resolve().parents[1])
PR_SET_PDEATHSIG = 1
MAX_WORD = 64 * 1024
TURN = 0.1
PATIENCE = 5.0
SAID = 3
"""Exit code of a runner that has said itself why it failed."""


def main() -> None:
    """Carry out the job in this folder."""
    job = json.loads(Path(JOB).read_text())
    events = int(os.environ[EVENTS_FD])
    if not (job["unconfined"] or network.alone()):
        say(
            events,
            "failed",
            code="CONFINEMENT_FAILED",
            message="Rosetta would be on the host's network, where its port is open to all.",
        )
        sys.exit(1)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    link.connect(DOOR)
    network.hand_over(link, network.listeners(job["peers"]) + network.diallers())
    here, there = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    runner = _start(there)
    there.close()
    os.close(int(os.environ[ORDERS_FD]))
    sys.exit(Watch(runner, Lines(link), Lines(here), events).run())


def _start(link: socket.socket) -> "subprocess.Popen[bytes]":
    kept = [int(os.environ[EVENTS_FD]), int(os.environ[ORDERS_FD]), link.fileno()]
    command = [sys.executable, "-I", "-B", "-W", "ignore", "-c", BOOT, CODE]
    parent = os.getpid()

    def follow() -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    environment = dict(os.environ, **{LINK_FD: str(link.fileno())})
    return subprocess.Popen(command, pass_fds=kept, env=environment, preexec_fn=follow)


class Lines:
    """JSON objects on a connection, one a line."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self._rest = b""

    def fileno(self) -> int:
        """Return the descriptor, for select."""
        return self.sock.fileno()

    @property
    def waiting(self) -> bool:
        """Whether a whole line is here already."""
        return b"\n" in self._rest

    def next(self) -> Optional[Dict[str, Any]]:
        """Return the next word; None at the end of the connection."""
        while not self.waiting:
            try:
                chunk = self.sock.recv(MAX_WORD)
            except OSError:
                chunk = b""
            if not chunk or len(self._rest) > MAX_WORD:
                return None
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        found = json.loads(line.decode())
        return found if isinstance(found, dict) else None

    def say(self, word: Dict[str, Any]) -> None:
        """Say a word; a connection that is gone takes no notice."""
        with contextlib.suppress(OSError):
            self.sock.sendall(json.dumps(word).encode() + b"\n")


class Watch:
    """Carries words between relay and runner until one of them ends."""

    def __init__(
        self, runner: "subprocess.Popen[bytes]", link: Lines, inner: Lines, events: int
    ) -> None:
        self._runner, self._link, self._inner, self._events = runner, link, inner, events

    def run(self) -> int:
        """Return the exit code."""
        sources = [self._link, self._inner]
        while self._runner.poll() is None:
            # Two words may have come at once: select knows of what is still in the kernel only.
            ready = [one for one in sources if one.waiting]
            for source in ready or select.select(sources, [], [], TURN)[0]:
                word = source.next()
                if source is self._inner:
                    if word is None:
                        sources = [self._link]
                    else:
                        self._link.say(word)
                elif word is None or "failed" in word:
                    return self._stop(word or {})
                else:
                    self._inner.say(word)
        return self._ended()

    def _stop(self, word: Dict[str, Any]) -> int:
        """End the runner because the relay says so."""
        code, message = word.get("failed", "PEER_LOST"), word.get("message", "the link has ended")
        self._runner.terminate()
        try:
            self._runner.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._runner.kill()
            self._runner.wait()
        if self._runner.returncode != SAID:  # the own word counts, where there is one
            say(self._events, "failed", code=code, message=message)
        return 1

    def _ended(self) -> int:
        code = self._runner.returncode
        if code == SAID:
            return 1
        if code == 0 and Path(FINISHED).exists():
            return 0
        # Rosetta's native code ends its process with exit code 0 where it can't go on.
        how = f"by signal {-code}" if code < 0 else f"with exit code {code}"
        message = f"Rosetta ended {how} before its work was done"
        say(self._events, "failed", code="ENGINE_EXITED", message=message)
        return 1
