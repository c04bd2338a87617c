"""The engine's process of one party: started, listened to, ended."""

import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from datatoken.authorization.reasons import Reason
from datatoken.errors import DataTokenError
from datatoken.types import sha256_hex
from rtt_tracer.engines.base import Engine, EngineJob
from rtt_tracer.engines.events import EngineEvent, EventKind
from rtt_tracer.party.steps import EngineGone, EngineSaid, Event, Trouble
from rtt_tracer.sandbox import EngineProcess, Limits

EXIT_SECONDS = 20.0
PROGRESS_SECONDS = 0.2
SALT = "salt"


class Sieve:
    """Lets pass what a supervisor has to hear: an operation may say the same without end."""

    def __init__(self) -> None:
        self._ready, self._due = False, float("-inf")

    def passes(self, event: EngineEvent, now: float) -> bool:
        """Tell whether an event counts: readiness once, progress now and then."""
        if event.kind is EventKind.PROGRESS:
            due = now >= self._due
            self._due = now + PROGRESS_SECONDS if due else self._due
            return due
        known, self._ready = self._ready, self._ready or event.kind is EventKind.READY
        return event.kind is not EventKind.READY or not known


class EngineRun:
    """One start of an engine; what it says comes as events.

    Parameters
    ----------
    put : callable
        Takes events, from a thread of this object's own.
    """

    def __init__(
        self, engine: Engine, limits: Limits, log: Path, put: Callable[[Event], None]
    ) -> None:
        self._engine, self._limits, self._log, self._put = engine, limits, log, put
        self._stack = ExitStack()
        self._process: EngineProcess | None = None
        self._lock = threading.Lock()
        self._ended = False

    def start(self, job: EngineJob, before: Callable[[], object] = lambda: None) -> None:
        """Prepare the work folder and start the process; `before` runs right before that.

        Raises
        ------
        DataTokenError
            LocalEnvironmentError, BadInputError: nothing was started.
        """
        with self._lock:
            if self._ended:
                return
            try:
                before()
                launch = self._stack.enter_context(self._engine.prepare(job))
                self._process = EngineProcess.start(launch, job.folder, self._limits, self._log)
            except BaseException:
                self._stack.close()
                raise
        threading.Thread(
            target=self._listen, args=(self._process, job.folder), name="engine", daemon=True
        ).start()

    @property
    def started(self) -> bool:
        """Whether there is a process, or was one."""
        return self._process is not None

    @property
    def isolation(self) -> list[dict[str, str]]:
        """What keeps the process in."""
        return self._process.report.plain() if self._process is not None else []

    def go(self, stage: int) -> None:
        """Let a stage start."""
        if self._process is not None:
            self._process.go(stage)

    def end(self) -> None:
        """End the process and all that it has started; nothing is left afterwards."""
        with self._lock:
            self._ended = True
            if self._process is not None:
                self._process.terminate()
            self._stack.close()

    def _listen(self, process: EngineProcess, folder: Path) -> None:
        checkpoints, sieve = 0, Sieve()
        try:
            for event in process.events():
                if not sieve.passes(event, time.monotonic()):
                    continue
                checkpoints += event.kind is EventKind.CHECKPOINT
                if event.kind is EventKind.END and not checkpoints:
                    self._put(EngineSaid(_only_checkpoint(event, folder)))
                self._put(EngineSaid(event))
            ended = process.wait(EXIT_SECONDS)
            code = process.exit_code if ended else None
            self._put(EngineGone(-1 if code is None else code))
        except (DataTokenError, OSError, ValueError) as error:
            self._put(Trouble(Reason.ENGINE_FAILED, f"The engine can't be followed: {error}"))


def _only_checkpoint(event: EngineEvent, folder: Path) -> EngineEvent:
    """Return the one checkpoint of an operation without any: salted, like all others."""
    salt = os.urandom(32)
    # Beside the work folder, which is the operation's: it could have put a link there.
    (folder.parent / "results" / SALT).write_bytes(salt)
    digest = bytes.fromhex((event.digest or "0x")[2:])
    return EngineEvent(event="checkpoint", number=0, commitment=sha256_hex(salt + digest))
