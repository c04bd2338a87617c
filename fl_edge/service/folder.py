"""A run's folder: what the service and the owner read of it."""

import json
import os
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datatoken.authorization.reasons import Reason
from datatoken.errors import LocalEnvironmentError
from datatoken.service.assets.executor import LOG, RESULTS
from datatoken.service.assets.models import RunState
from datatoken.service.assets.words import append_event, moment, write_status
from datatoken.types import Hex32

MAX_LOG = 64 * 1024 * 1024
WORK = "work"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run has ended."""

    state: RunState
    reason: Reason | None = None
    sentence: str = ""


class RunFolder:
    """The folder of one run.

    Parameters
    ----------
    path : Path
        Made here: a request starts one run.

    Raises
    ------
    LocalEnvironmentError
        It exists, or can't be made.
    """

    def __init__(self, path: Path, *, job: Hex32, request: Hex32, dt: Hex32) -> None:
        self.path = path
        try:
            path.mkdir(parents=True, mode=0o700)
            for name in (WORK, RESULTS):
                (path / name).mkdir(mode=0o700)
            self._log = (path / LOG).open("a", encoding="utf-8", buffering=1)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The run's folder {path} can't be made: {error.strerror}.",
                "A request starts one run: sign a new one.",
            ) from None
        self._room, self._mutex = MAX_LOG, threading.Lock()
        self._status: dict[str, object] = {
            "job": job,
            "request": request,
            "dt": dt,
            "state": RunState.WAITING.value,
            "pid": os.getpid(),
            "started": moment(),
        }
        self.note("started", {"job": job, "request": request})

    def note(self, event: str, facts: Mapping[str, object] = {}, **status: object) -> None:
        """Add a line to events.jsonl, and change the status where something is given."""
        with self._mutex:
            append_event(self.path, event, facts)
            self._status |= {**status, "updated": moment()}
            write_status(self.path, self._status)

    def log(self, line: str) -> None:
        """Add a line to engine.log; what is beyond `MAX_LOG` is left out."""
        if self._room > 0:
            self._room -= len(line) + 1
            end = "" if self._room > 0 else "\n(The log is cut here.)"
            self._log.write(f"{line}{end}\n")

    def result(self, name: str, content: object) -> None:
        """Write a result as JSON."""
        text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
        (self.path / RESULTS / name).write_text(text + "\n", encoding="utf-8")

    def end(self, outcome: Outcome) -> None:
        """Write how the run has ended."""
        facts = {}
        if outcome.reason is not None:
            facts = {"reason": outcome.reason.value, "sentence": outcome.sentence}
            self.log(f"{outcome.reason.value}: {outcome.sentence}")
        self.note(outcome.state.value, facts, state=outcome.state.value, **facts)
        self._log.close()
