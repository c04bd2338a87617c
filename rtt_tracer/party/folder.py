"""A run's folder at one party: what people and services read of it."""

import fcntl
import json
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import LocalEnvironmentError
from datatoken.service.assets.executor import LOG
from datatoken.service.assets.words import STATUS, append_event, moment, write_status
from datatoken.types import Hex32
from rtt_tracer.party.steps import Outcome, State

LOCK = "party.lock"


class RunFolder:
    """The folder of one run: status, events, lock, work, results.

    Parameters
    ----------
    state : Path
        The party's state folder.
    run, job, request, dt
        What the run is.

    Raises
    ------
    Refused
        REQUEST_REPLAYED: the request has started a run here before.
    LocalEnvironmentError
        The folder can't be made.
    """

    def __init__(self, state: Path, run: str, *, job: Hex32, request: Hex32, dt: Hex32) -> None:
        self.path = state / "runs" / run
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.path.mkdir(mode=0o700)
        except FileExistsError:
            raise Refused(
                Reason.REQUEST_REPLAYED,
                f"The compute request was used here before: run {run} {_how(self.path)}.",
            ) from None
        except OSError as error:
            raise LocalEnvironmentError(
                f"The folder {self.path} can't be made: {error.strerror}.",
                "Give a state folder that this account may write to.",
            ) from None
        for name in ("work", "results"):
            (self.path / name).mkdir(mode=0o700)
        self._lock = (self.path / LOCK).open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._mutex = threading.Lock()
        now = moment()
        self.status: dict[str, Any] = {
            "run": run,
            "job": job,
            "request": request,
            "dt": dt,
            "state": State.WAITING.value,
            "stage": None,
            "stages": None,
            "peers": {},
            "checkpoints": [],
            "metrics": {},
            "isolation": [],
            "pid": os.getpid(),
            "started": now,
            "updated": now,
        }
        self.note("started", {"job": job, "request": request})

    @property
    def work(self) -> Path:
        """The engine's work folder."""
        return self.path / "work"

    @property
    def results(self) -> Path:
        """What the run gave to this party."""
        return self.path / "results"

    @property
    def log(self) -> Path:
        """What the engine's process wrote."""
        return self.path / LOG

    def note(self, event: str, facts: Mapping[str, object] = {}, **status: object) -> None:
        """Add a line to events.jsonl, and change the status where something is given."""
        with self._mutex:
            append_event(self.path, event, facts)
            self.status.update(status)
            self._write()

    def set(self, **status: object) -> None:
        """Change the status without a line in events.jsonl."""
        with self._mutex:
            self.status.update(status)
            self._write()

    def peer(self, dt: Hex32, state: str) -> None:
        """Change what is known of a peer."""
        self.set(peers={**self.status["peers"], dt: state})

    def end(self, outcome: Outcome) -> None:
        """Write how the run has ended."""
        facts: dict[str, object] = {}
        if outcome.reason is not None:
            facts = {"reason": str(outcome.reason), "sentence": outcome.sentence}
        self.note(outcome.state.value, facts, state=outcome.state.value, **facts)

    def close(self) -> None:
        """Let go of the lock."""
        self._lock.close()

    def _write(self) -> None:
        self.status["updated"] = moment()
        write_status(self.path, self.status)


def _how(run: Path) -> str:
    """Return what became of a run, in words."""
    try:
        plain = json.loads((run / STATUS).read_text(encoding="utf-8"))
        state, reason = State(plain["state"]), plain.get("reason")
    except (OSError, ValueError, KeyError, TypeError):
        return "has left no status"
    return f"is {state.value}" + (f" ({reason})" if reason else "")


def lives(run: Path) -> bool:
    """Tell whether a run's party is still there: it holds the lock, whatever its status says."""
    try:
        with (run / LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
