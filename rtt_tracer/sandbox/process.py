"""One operation in a process of its own, behind walls, at the supervisor's end of the pipes."""

import contextlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatoken.errors import BadInputError, LocalEnvironmentError
from rtt_tracer.engines.base import Launch
from rtt_tracer.engines.events import (
    EVENTS_FD,
    ORDERS_FD,
    EngineEvent,
    EventKind,
    order,
    parse_event,
)
from rtt_tracer.sandbox.inside import kernel
from rtt_tracer.sandbox.interpreter import program_paths
from rtt_tracer.sandbox.limits import Limits
from rtt_tracer.sandbox.pipe import Lines
from rtt_tracer.sandbox.report import IsolationReport

EXITED, LIMIT, PROTOCOL = "ENGINE_EXITED", "ENGINE_LIMIT", "ENGINE_PROTOCOL"
QUEUED = 256
START_SECONDS = 30.0
HERE = Path(__file__).resolve().parent
WARDEN = "import sys; sys.path.append(sys.argv[1]); from inside.main import main; main()"


class EngineProcess:
    """A running operation.

    Its events come one by one from `next_event`; the last one is always ``end`` or
    ``failed``, whatever the process does: one that dies, floods its pipe or breaks a limit
    is reported as ``failed`` with the code `EXITED`, `PROTOCOL` or `LIMIT`.

    Attributes
    ----------
    report : IsolationReport
        What isolation is in force.
    """

    def __init__(self, warden: "subprocess.Popen[bytes]", pipes: dict[str, int]) -> None:
        self._warden, self._pipes = warden, pipes
        self._queue: queue.Queue[EngineEvent | None] = queue.Queue(QUEUED)
        self._lock = threading.Lock()
        self._started = threading.Event()
        self._closing = threading.Event()
        self._final = False
        self._exceeded = self._error = ""
        self._exit: int | None = None
        self.report = IsolationReport()
        self.left_behind = 0
        self._reader = threading.Thread(target=self._read, name="engine-events", daemon=True)

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
        assert self._warden.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._warden.stdin.write(config)
            self._warden.stdin.flush()
        self._reader.start()
        if not self._started.wait(START_SECONDS):
            self._error = f"not started within {START_SECONDS:g} s"
        if self._error:
            self.close()
            raise LocalEnvironmentError(
                f"{launch.argv[0]} can't be started in its sandbox: {self._error}.",
                "Look at the engine's path and the work folder.",
            )

    def next_event(self, timeout: float | None = None) -> EngineEvent | None:
        """Return the next event, or None when `timeout` passes or none will come any more.

        After the final event `ended` is True.
        """
        if self._final and self._queue.empty():
            return None
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

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
            if "orders" in self._pipes:
                os.write(self._pipes["orders"], order(stage))

    @property
    def running(self) -> bool:
        """Whether anything of the operation is still alive."""
        return self._warden.poll() is None

    @property
    def exit_code(self) -> int | None:
        """The operation's exit code, negative for a signal; None while it runs or if killed."""
        return self._exit

    def wait(self, timeout: float | None = None) -> bool:
        """Wait until nothing of the operation is left; return whether that is so."""
        try:
            self._warden.wait(timeout)
        except subprocess.TimeoutExpired:
            return False
        self._reader.join(timeout)
        return True

    def terminate(self) -> None:
        """End the operation and everything that it started: SIGTERM, then SIGKILL.

        Returns when nothing is left. Repeating it is safe.
        """
        self._tell_warden(b"end\n")
        self._closing.set()
        self._warden.wait()
        self._reader.join()
        self.close()

    def close(self) -> None:
        """Kill what is left at once and give the descriptors back."""
        self._closing.set()
        if self._warden.stdin is not None:
            with contextlib.suppress(OSError):
                self._warden.stdin.close()
        self._warden.wait()
        if self._reader.is_alive():
            self._reader.join()
        with self._lock:
            while self._pipes:
                os.close(self._pipes.popitem()[1])

    def __enter__(self) -> "EngineProcess":
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """End what is left."""
        self.terminate()

    def _tell_warden(self, word: bytes) -> None:
        if self._warden.stdin is not None and not self._warden.stdin.closed:
            with contextlib.suppress(OSError, ValueError):
                self._warden.stdin.write(word)
                self._warden.stdin.flush()

    # What follows runs in the reader's thread.

    def _read(self) -> None:
        lines = {name: Lines() for name in ("events", "status")}
        with selectors.DefaultSelector() as selector:
            for name in lines:
                selector.register(self._pipes[name], selectors.EVENT_READ, name)
            gone: float | None = None
            while selector.get_map():
                for key, _ in selector.select(timeout=0.1):
                    chunk = os.read(key.fd, 65536)
                    if not chunk or not self._take(key.data, lines[key.data], chunk):
                        selector.unregister(key.fd)
                if self._warden.poll() is not None:
                    gone = gone or time.monotonic()
                    if time.monotonic() - gone > 1.0:  # a stray holds a pipe open
                        break
        self._started.set()
        self._warden.wait()
        self._finish()

    def _take(self, name: str, lines: Lines, chunk: bytes) -> bool:
        """Handle a chunk; return whether to go on reading this pipe."""
        try:
            for line in lines.feed(chunk):
                if name == "status":
                    self._status(json.loads(line))
                elif not self._final:
                    self._put(parse_event(line))
        except (BadInputError, ValueError) as error:
            self._fail(PROTOCOL, f"The operation broke the protocol of events: {error}")
            self._tell_warden(b"end\n")
            return False
        return True

    def _status(self, message: dict[str, Any]) -> None:
        if "isolation" in message:
            self.report = IsolationReport.of(message["isolation"])
            self._started.set()
        if "error" in message:
            self._error = str(message["error"])
        self._exceeded = message.get("exceeded", self._exceeded)
        self._exit = message.get("exit", self._exit)
        self.left_behind = message.get("left", self.left_behind)

    def _put(self, event: EngineEvent | None) -> None:
        while True:
            try:
                self._queue.put(event, timeout=0.1)
            except queue.Full:
                if self._closing.is_set():  # nobody reads any more
                    return
            else:
                break
        if event is not None and event.kind in (EventKind.END, EventKind.FAILED):
            self._final = True

    def _fail(self, code: str, message: str) -> None:
        if not self._final:
            self._put(EngineEvent(event="failed", code=code, message=message[:2000]))

    def _finish(self) -> None:
        if self._exceeded:
            self._fail(LIMIT, self._exceeded)
        self._fail(EXITED, f"The engine's process ended {_how(self._exit)} before it said so.")
        self._put(None)


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


def _how(code: int | None) -> str:
    if code is None:
        return "by the supervisor's order"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"by {name}"
    return f"with exit code {code}"


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
