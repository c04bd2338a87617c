"""Processes that outlive the service: started in sessions of their own, found again by a lock.

A party inherits an open lock file. As long as the party lives, nobody can take the lock;
that holds across a restart of the service, and no other process can be mistaken for it, as
with a number that the system gives out again.
"""

import contextlib
import fcntl
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from datatoken.errors import LocalEnvironmentError

LOCK, PID, OUTPUT = "alive.lock", "pid", "party.log"
GRACE = 25.0  # longer than a party takes to send what it has signed
"""Seconds for a party to tell its peers and end by itself."""
ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE")
"""What a party may see of the service's environment: no secret is among it."""


class PartyProcess:
    """The process of one run, living or dead, of this service's life or an earlier one.

    Parameters
    ----------
    folder : Path
        The service's own for this run: lock, number, what the process prints.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._child: subprocess.Popen[bytes] | None = None
        self.exit_code: int | None = None
        """Of a process of this service's life that has ended."""

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> None:
        """Start it, in a session and process group of its own.

        Raises
        ------
        LocalEnvironmentError
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            lock = os.open(self.folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with (self.folder / OUTPUT).open("ab") as output:
                self._child = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=dict(environment),
                    cwd=self.folder,
                    start_new_session=True,
                    pass_fds=(lock,),
                )
            (self.folder / PID).write_text(str(self._child.pid))
        except OSError as error:
            raise _unwritable(self.folder, error) from None
        finally:
            os.close(lock)

    def alive(self) -> bool:
        """Tell whether the process lives."""
        if self._child is not None and (code := self._child.poll()) is not None:
            self._child, self.exit_code = None, code
        try:
            lock = os.open(self.folder / LOCK, os.O_RDWR)
        except OSError:
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return True
        finally:
            os.close(lock)
        return False

    def terminate(self) -> None:
        """Ask it to stop: it tells its peers."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill its whole group."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # The number is this process's own as long as its lock is held.
        if not self.alive():
            return
        with contextlib.suppress(OSError, ValueError):
            pid = int((self.folder / PID).read_text())
            if pid > 1 and os.getpgid(pid) == pid:
                os.killpg(pid, number)


def _unwritable(folder: Path, error: OSError) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"The party can't be started: {error.strerror or error} ({error.filename or folder}).",
        "Check the service's state folder and the program's path.",
    )
