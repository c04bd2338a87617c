"""One operation in a process of its own, behind walls, at the supervisor's end of the pipes."""

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from datatoken.errors import LocalEnvironmentError
from rtt_tracer.engines.base import Launch
from rtt_tracer.engines.events import EVENTS_FD, ORDERS_FD, EngineEvent, EventKind, order
from rtt_tracer.sandbox.conversation import EXITED, LIMIT, PROTOCOL, Conversation
from rtt_tracer.sandbox.inside import kernel
from rtt_tracer.sandbox.interpreter import program_paths
from rtt_tracer.sandbox.limits import Limits
from rtt_tracer.sandbox.report import IsolationReport

__all__ = ["EXITED", "LIMIT", "PROTOCOL", "EngineProcess"]
START_SECONDS = 30.0
HERE = Path(__file__).resolve().parent
WARDEN = "import sys; sys.path.append(sys.argv[1]); from inside.main import main; main()"


class EngineProcess:
    """A running operation.

    Its events come one by one from `next_event`; the last one is always ``end`` or
    ``failed``, whatever the process does: one that dies, floods its pipe or breaks a limit
    is reported as ``failed`` with the code `EXITED`, `PROTOCOL` or `LIMIT`.
    """

    def __init__(self, warden: "subprocess.Popen[bytes]", pipes: dict[str, int]) -> None:
        self._warden, self._orders = warden, pipes["orders"]
        self._lock = threading.Lock()
        self._said = Conversation(pipes["events"], pipes["status"], warden, self._end_politely)

    @classmethod
    def start(cls, launch: Launch, folder: Path, limits: Limits, log: Path) -> "EngineProcess":
        """Start an operation in its work folder.

        Parameters
        ----------
        launch : Launch
        folder : Path
            The work folder: all that the process may write to.
        limits : Limits
        log : Path
            Takes stdout and stderr; created for its owner alone, never followed if a link.

        Raises
        ------
        LocalEnvironmentError
            When the program can't be started.
        """
        if sys.platform != "linux":
            raise LocalEnvironmentError("Operations run on Linux only: its kernel keeps them in.")
        kernel.hide()  # this process holds keys; the operation may run as the same user
        folder = folder.resolve()
        readable = _readable(launch)
        (folder / "tmp").mkdir(mode=0o700, exist_ok=True)
        events_out, events_in = os.pipe()
        orders_out, orders_in = os.pipe()
        status_out, status_in = os.pipe()
        config = {
            "argv": launch.argv,
            "environment": {
                "HOME": str(folder / "tmp"),
                "TMPDIR": str(folder / "tmp"),
                **launch.environment,
                EVENTS_FD: str(events_in),
                ORDERS_FD: str(orders_out),
            },
            "folder": str(folder),
            "readable": readable,
            "bind": launch.bind,
            "connect": launch.connect,
            "limits": limits.plain(),
            "events": events_in,
            "orders": orders_out,
            "status": status_in,
        }
        given = (events_in, orders_out, status_in)
        try:
            warden = _warden(log, given)
        except OSError as error:
            for descriptor in (*given, events_out, orders_in, status_out):
                os.close(descriptor)
            raise LocalEnvironmentError(f"The sandbox can't be started: {error}.") from None
        for descriptor in given:
            os.close(descriptor)
        os.set_blocking(orders_in, False)
        pipes = {"events": events_out, "orders": orders_in, "status": status_out}
        process = cls(warden, pipes)
        process._begin(json.dumps(config).encode() + b"\n", launch)
        return process

    def _begin(self, config: bytes, launch: Launch) -> None:
        self._tell_warden(config)
        self._said.start()
        error = self._said.wait_for_start(START_SECONDS)
        if error is not None:
            self.close()
            raise LocalEnvironmentError(
                f"{launch.argv[0]} can't be started in its sandbox: {error}.",
                "Look at the engine's path and the work folder.",
            )

    @property
    def report(self) -> IsolationReport:
        """What isolation is in force."""
        return self._said.report

    @property
    def left_behind(self) -> int:
        """How many processes the operation left, which were ended after it."""
        return self._said.left_behind

    def next_event(self, timeout: float | None = None) -> EngineEvent | None:
        """Return the next event, or None when `timeout` passes or none will come any more."""
        return self._said.next(timeout)

    def events(self) -> Iterator[EngineEvent]:
        """Yield all events until the final one (``end`` or ``failed``)."""
        while True:
            event = self.next_event()
            if event is None:
                return
            yield event
            if event.kind in (EventKind.END, EventKind.FAILED):
                return

    def go(self, stage: int) -> None:
        """Let stage `stage` start; a process that has ended takes no notice."""
        with self._lock, contextlib.suppress(OSError):
            if self._orders >= 0:
                os.write(self._orders, order(stage))

    @property
    def running(self) -> bool:
        """Whether anything of the operation is still alive."""
        return self._warden.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The operation's exit code, negative for a signal; None while it runs or if killed."""
        return self._said.exit_code

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing of the operation is left; return whether that is so."""
        try:
            self._warden.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        return self._said.over(timeout)

    def terminate(self) -> None:
        """End the operation and everything that it started: SIGTERM, then SIGKILL.

        Returns when nothing is left. Repeating it is safe.
        """
        self._end_politely()
        self._said.nobody_listens()
        self._warden.wait()
        self.close()

    def close(self) -> None:
        """Kill what is left at once and give the descriptors back."""
        self._said.nobody_listens()
        if self._warden.stdin is not None:
            with contextlib.suppress(OSError):
                self._warden.stdin.close()
        self._warden.wait()
        self._said.over(None)
        with self._lock:
            if self._orders >= 0:
                os.close(self._orders)
                self._orders = -1

    def __enter__(self) -> "EngineProcess":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left."""
        self.terminate()

    def _end_politely(self) -> None:
        self._tell_warden(b"end\n")

    def _tell_warden(self, word: bytes) -> None:
        if self._warden.stdin is not None and not self._warden.stdin.closed:
            with contextlib.suppress(OSError, ValueError):
                self._warden.stdin.write(word)
                self._warden.stdin.flush()


def _readable(launch: Launch) -> list[str]:
    """Return what the process may read: refused by name where it is missing."""
    program = Path(launch.argv[0])
    for path in (program, *launch.readable):
        if not path.is_absolute() or not path.exists():
            raise LocalEnvironmentError(
                f"{path} is needed to start the operation, and is not there.",
                "Look at the engine's path in the settings.",
            )
    return [str(path) for path in (*program_paths(program), *launch.readable)]


def _warden(log: Path, descriptors: tuple[int, ...]) -> "subprocess.Popen[bytes]":
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    output = os.open(log, flags, 0o600)
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WARDEN, str(HERE)],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={},
            cwd="/",
            pass_fds=descriptors,
            start_new_session=True,
        )
    finally:
        os.close(output)
