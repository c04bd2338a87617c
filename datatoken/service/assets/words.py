"""What a run's process leaves for the service to read: its status, and a line for each event."""

import json
import os
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from datatoken import strict_json
from datatoken.service.assets.executor import EVENTS, Status
from datatoken.service.assets.models import RunState
from datatoken.types import Hex32

STATUS = "status.json"
MAX_STATUS = 4 * 1024 * 1024


def append_event(run: Path, event: str, facts: Mapping[str, object]) -> None:
    """Add a line to the events of a run's folder."""
    line = json.dumps({"time": moment(), "event": event, **facts}, ensure_ascii=False)
    with (run / EVENTS).open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def write_status(run: Path, status: Mapping[str, object]) -> None:
    """Replace the status of a run's folder: a reader sees the old one or the new one."""
    content = json.dumps(status, indent=1, ensure_ascii=False).encode()
    temporary = run / (STATUS + ".new")
    with temporary.open("wb") as file:
        file.write(content + b"\n")
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(run / STATUS)


def read_status(run: Path) -> Status | None:
    """Return what a run's folder says last, or None when it says nothing that can be read."""
    try:
        with (run / STATUS).open("rb") as file:
            return _status(strict_json.loads(file.read(MAX_STATUS)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None


def _status(plain: dict[str, Any]) -> Status:
    peers: dict[Hex32, str] = {
        str(dt): str(word)[:64] for dt, word in plain.get("peers", {}).items()
    }
    return Status(
        state=RunState(plain["state"]),
        reason=str(plain.get("reason") or "")[:64],
        sentence=str(plain.get("sentence") or "")[:2000],
        stage=int(plain.get("stage") or 0),
        stages=int(plain.get("stages") or 0),
        peers=peers,
    )


def moment() -> str:
    """Return the time as a line of events shows it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
