"""What an operation says, as its supervisor may believe it: bounded, typed, with one end."""

import json
import os
import queue
import selectors
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from typing import Any

from datatoken.errors import BadInputError
from rtt_tracer.engines.events import EngineEvent, EventKind, parse_event
from rtt_tracer.sandbox.pipe import Lines
from rtt_tracer.sandbox.report import IsolationReport

EXITED, LIMIT, PROTOCOL = "ENGINE_EXITED", "ENGINE_LIMIT", "ENGINE_PROTOCOL"
FINAL = (EventKind.END, EventKind.FAILED)
QUEUED = 256
TURN = 0.1
STRAY_SECONDS = 1.0


class Conversation:
    """Reads two pipes in a thread of its own: the operation's events and the warden's word.

    Parameters
    ----------
    events, status : int
        Descriptors to read from; closed at the end.
    warden : Popen
        When it has ended, nothing of the operation is left.
    end : callable
        Asks the warden to end an operation that breaks the protocol.

    Attributes
    ----------
    report : IsolationReport
    exit_code : int or None
        Of the operation's own process; None while it runs, or when it had to be killed.
    left_behind : int
        Processes that it left when it ended.
    """

    def __init__(
        self,
        events: int,
        status: int,
        warden: "subprocess.Popen[bytes]",
        end: Callable[[], None],
    ) -> None:
        self._pipes = {"events": events, "status": status}
        self._warden, self._end = warden, end
        self._queue: queue.Queue[EngineEvent | None] = queue.Queue(QUEUED)
        self._started, self._unheard = threading.Event(), threading.Event()
        self._final = False
        self._exceeded = self._error = ""
        self._thread = threading.Thread(target=self._read, name="engine-events", daemon=True)
        self.report = IsolationReport()
        self.exit_code: int | None = None
        self.left_behind = 0

    def start(self) -> None:
        """Begin to listen."""
        self._thread.start()

    def wait_for_start(self, seconds: float) -> str | None:
        """Return why the operation did not start, or None when it did."""
        if not self._started.wait(seconds):
            return f"not started within {seconds:g} s"
        return self._error or None

    def next(self, timeout: float | None) -> EngineEvent | None:
        """Return the next event, or None when `timeout` passes or none will come any more."""
        if self._final and self._queue.empty():
            return None
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            return None

    def nobody_listens(self) -> None:
        """Let what can't be delivered fall, so that the thread can end."""
        self._unheard.set()

    def over(self, timeout: float | None) -> bool:
        """Wait for the end of it all; return whether it came."""
        self._thread.join(timeout)
        return not self._thread.is_alive()

    # What follows runs in the thread.

    def _read(self) -> None:
        lines = {name: Lines() for name in self._pipes}
        with selectors.DefaultSelector() as selector:
            for name, descriptor in self._pipes.items():
                selector.register(descriptor, selectors.EVENT_READ, name)
            gone: float | None = None
            while selector.get_map():
                for key, _ in selector.select(timeout=TURN):
                    chunk = os.read(key.fd, 65536)
                    if not chunk or not self._take(key.data, lines[key.data], chunk):
                        selector.unregister(key.fd)
                if self._warden.poll() is not None:
                    gone = gone or time.monotonic()
                    if time.monotonic() > gone + STRAY_SECONDS:  # a stray holds a pipe open
                        break
        self._warden.wait()
        for descriptor in self._pipes.values():
            os.close(descriptor)
        if self._exceeded:
            self._fail(LIMIT, self._exceeded)
        self._fail(EXITED, f"The engine's process ended {_how(self.exit_code)} before it said so.")
        self._put(None)
        if not self._started.is_set():
            self._error = self._error or "its warden ended (see the log)"
            self._started.set()

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
            self._end()
            return False
        return True

    def _status(self, message: dict[str, Any]) -> None:
        """Take the warden's word."""
        self._error = str(message.get("error", self._error))
        self._exceeded = message.get("exceeded", self._exceeded)
        self.exit_code = message.get("exit", self.exit_code)
        self.left_behind = message.get("left", self.left_behind)
        if "isolation" in message:
            self.report = IsolationReport.of(message["isolation"])
            self._started.set()

    def _put(self, event: EngineEvent | None) -> None:
        while True:
            try:
                self._queue.put(event, timeout=TURN)
            except queue.Full:
                if self._unheard.is_set():
                    return
            else:
                break
        if event is not None and event.kind in FINAL:
            self._final = True

    def _fail(self, code: str, message: str) -> None:
        if not self._final:
            self._put(EngineEvent(event="failed", code=code, message=message[:2000]))


def _how(code: int | None) -> str:
    if code is None:
        return "by the supervisor's order"
    if code < 0:
        name = signal.Signals(-code).name if -code in set(signal.Signals) else f"signal {-code}"
        return f"by {name}"
    return f"with exit code {code}"
