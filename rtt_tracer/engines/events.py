"""What an engine's process and its supervisor say to each other, over two pipes.

One JSON object a line, at most `MAX_LINE` bytes. The process finds the two file descriptors
in ``DATATOKEN_EVENTS`` (it writes) and ``DATATOKEN_ORDERS`` (it reads).

The process says                              the supervisor says
  {"event": "ready"}                            {"go": 0}
  {"event": "checkpoint", "number": 0,          {"go": 1}
   "commitment": "0x…"}
  …                                             …
  {"event": "end", "digest": "0x…", "metrics": {…}}
  {"event": "failed", "code": "…", "message": "…"}

Stage k starts after ``go`` k only, and ends with checkpoint k. Stage 0 is the sharing of
inputs. `commitment` is sha256(salt ‖ own shares) with a salt that stays in
``out/results/salt``. A process without checkpoints waits for ``go`` 0 and says ``end``.
``{"event": "progress", "done": 3, "total": 10}`` may come at any time.
"""

import json
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field

from datatoken.ddo.canonical import parse_json, validate
from datatoken.types import Hex32, Model

EVENTS_FD, ORDERS_FD = "DATATOKEN_EVENTS", "DATATOKEN_ORDERS"
MAX_LINE = 64 * 1024
Count = Annotated[int, Field(ge=0, lt=2**31)]


class EventKind(StrEnum):
    """What happened in an engine's process."""

    READY = "ready"
    CHECKPOINT = "checkpoint"
    PROGRESS = "progress"
    END = "end"
    FAILED = "failed"


class EngineEvent(Model):
    """One line from an engine's process.

    Attributes
    ----------
    number : int, optional
        Of a checkpoint.
    commitment : Hex32, optional
        sha256(salt ‖ own shares) at a checkpoint.
    digest : Hex32, optional
        When ready: of what linked processes have held against each other. At the end: of what
        is equal at all parties (the values opened to everybody, or the
        agreed hash where nothing is).
    metrics : dict of str to float
        At the end: ``seconds`` of work after start-up, ``bytes_sent``, and the operation's own.
    """

    event: Literal["ready", "checkpoint", "progress", "end", "failed"]
    number: Count | None = None
    commitment: Hex32 | None = None
    digest: Hex32 | None = None
    done: Count | None = None
    total: Count | None = None
    metrics: dict[str, float] = {}
    code: Annotated[str, Field(max_length=64)] | None = None
    message: Annotated[str, Field(max_length=2000)] | None = None

    @property
    def kind(self) -> EventKind:
        """What happened."""
        return EventKind(self.event)


def parse_event(line: bytes) -> EngineEvent:
    """Parse one line; raise `BadInputError` when it is none."""
    return validate(EngineEvent, parse_json(line, "engine event", MAX_LINE), "engine event")


def order(stage: int) -> bytes:
    """Return the line that lets stage `stage` start."""
    return json.dumps({"go": stage}).encode() + b"\n"
