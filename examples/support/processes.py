"""Real processes: started with a log each, watched, and ended by their own id."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from datatoken.errors import LocalEnvironmentError

STOP_TIMEOUT = 8.0
POLL = 0.05
TAIL_LINES = 6

# Nothing of the demo talks to the outside.
QUIET = {
    "FLWR_TELEMETRY_ENABLED": "0",
    "FLWR_DISABLE_UPDATE_CHECK": "1",
    "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "PYTHONUNBUFFERED": "1",
    "NO_COLOR": "1",
    "COLUMNS": "2000",
}


class Process:
    """One running program with its log."""

    def __init__(
        self, name: str, command: Sequence[str], log: Path, environment: Mapping[str, str]
    ) -> None:
        self.name, self.log = name, log
        self.result_file = log.with_suffix(".out")
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("wb") as output, self.result_file.open("wb") as result:
            self._process = subprocess.Popen(
                list(command),
                stdin=subprocess.DEVNULL,
                stdout=result,
                stderr=output,
                env={**os.environ, **QUIET, **_programs(), **environment},
                # A Ctrl-C at the terminal is the demo's to handle; the group is ours to end.
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id; also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code, or None while it runs."""
        return self._process.poll()

    def text(self) -> str:
        """Return what it has written to its log: its standard error."""
        return self.log.read_text(encoding="utf-8", errors="replace")

    def result(self) -> str:
        """Return what it has written to its standard output."""
        return self.result_file.read_text(encoding="utf-8", errors="replace")

    def tail(self) -> str:
        """Return its last lines, for an error message."""
        return "\n".join(self.text().strip().splitlines()[-TAIL_LINES:])

    def wait_for(self, pattern: str, timeout: float) -> re.Match[str]:
        """Wait until the log matches `pattern`.

        Raises
        ------
        LocalEnvironmentError
            When it ends or the time is over before.
        """
        found: list[re.Match[str]] = []

        def look() -> bool:
            match = re.search(pattern, self.text())
            found.extend([match] if match else [])
            return bool(match)

        self.wait_until(look, f"{pattern!r} in its log", timeout)
        return found[0]

    def wait_until(self, ready: Callable[[], bool], what: str, timeout: float) -> None:
        """Wait until `ready`, while the process lives; raise `LocalEnvironmentError`."""
        deadline = time.monotonic() + timeout
        while not ready():
            if self.exit_code is not None and not ready():
                raise LocalEnvironmentError(
                    f"{self.name} ended with exit code {self.exit_code}: {self.tail()}",
                    f"Its log is {self.log}.",
                )
            if time.monotonic() > deadline:
                raise LocalEnvironmentError(
                    f"{self.name} did not show {what} within {timeout:.0f} s: {self.tail()}",
                    f"Its log is {self.log}.",
                )
            time.sleep(POLL)

    def wait(self, timeout: float) -> int:
        """Wait for the end; return the exit code."""
        self.wait_until(lambda: self.exit_code is not None, "its end", timeout)
        code = self.exit_code
        return -1 if code is None else code

    def ask_to_stop(self) -> None:
        """Ask the process and its group to end."""
        self._signal(signal.SIGTERM)

    def stop(self) -> None:
        """End the process and its group. Safe to repeat."""
        self.ask_to_stop()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(STOP_TIMEOUT)
        # Whatever outlives that, children too, is in the same group.
        self._signal(signal.SIGKILL)
        self._process.wait()

    def _signal(self, number: signal.Signals) -> bool:
        try:
            os.killpg(self.pid, number)
        except (ProcessLookupError, PermissionError):
            return False
        return True


class Processes:
    """All processes of a demo: ended in reverse order, whatever happens."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._running: list[Process] = []

    def start(
        self, name: str, command: Sequence[str], environment: Mapping[str, str] | None = None
    ) -> Process:
        """Start a command; its output goes to ``<folder>/<name>.log``."""
        process = Process(name, command, self.folder / f"{name}.log", environment or {})
        self._running.append(process)
        return process

    def stop(self, *processes: Process) -> None:
        """Stop some of them."""
        for process in processes:
            process.ask_to_stop()
        for process in processes:
            process.stop()
            if process in self._running:
                self._running.remove(process)

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop all of them, last one first."""
        self.stop(*reversed(self._running))


def _programs() -> dict[str, str]:
    """Return a PATH on which flwr finds its own programs: those of this installation."""
    own = str(Path(sys.executable).parent)
    return {"PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)])}


def program(name: str) -> str:
    """Return the path of a command that is installed beside this Python."""
    path = Path(sys.executable).with_name(name)
    if not path.exists():
        raise LocalEnvironmentError(
            f"The command {name} is not installed beside {sys.executable}.",
            "Install the project with its extras: make setup.",
        )
    return str(path)
