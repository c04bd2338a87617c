"""What a party that was killed has left: its rows and shares are removed, its runs get an end.

A party that ends by itself tidies up. One that was killed, or whose machine went down, can't:
the next one of the same asset does it for it, before anything else.
"""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datatoken.authorization.reasons import Reason
from datatoken.service.assets.words import STATUS, append_event, write_status
from rtt_tracer.party.steps import State

PRIVATE = ("work", "received", "lists")
"""Folders of a run that hold rows, shares, or the way to them."""
WHY = "The party's process ended without a word: it was killed, or its machine went down."


def tidy(run: Path) -> None:
    """Remove what nobody must find when a run is over."""
    for name in PRIVATE:
        shutil.rmtree(run / name, ignore_errors=True)


def settle(state: Path, *, keep_work: bool = False) -> list[str]:
    """End the runs that nobody ended; return their names.

    Parameters
    ----------
    state : Path
        A state folder that this process holds the lock of: no other party lives in it.
    keep_work : bool
        Leave rows and shares where they are (for people who look for a fault).
    """
    ended = []
    for run in sorted(state.glob("runs/*")):
        if not keep_work:
            tidy(run)
        status = _status(run / STATUS)
        if status is None or State(status["state"]).final:
            continue
        facts = {"reason": Reason.PARTY_STOPPED.value, "sentence": WHY}
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        append_event(run, State.FAILED.value, facts)
        write_status(run, {**status, **facts, "state": State.FAILED.value, "updated": now})
        ended.append(run.name)
    return ended


def _status(path: Path) -> dict[str, Any] | None:
    """Return a status that can be ended, or None: a torn one can't come from this program."""
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        State(plain["state"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return dict(plain)
