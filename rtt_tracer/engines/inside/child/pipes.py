"""The two pipes to the supervisor (`rtt_tracer.engines.events` says what goes over them)."""

import json
import os
from collections.abc import Mapping
from typing import Any

EVENTS_FD, ORDERS_FD = "DATATOKEN_EVENTS", "DATATOKEN_ORDERS"
MAX_MESSAGE = 1500


class Pipes:
    """The child's end."""

    def __init__(self, events: int, orders: int) -> None:
        self._events, self._orders = events, orders
        self._rest = b""

    @classmethod
    def inherited(cls) -> "Pipes":
        """Return the pipes that the supervisor gave."""
        return cls(int(os.environ[EVENTS_FD]), int(os.environ[ORDERS_FD]))

    def ready(self, metrics: Mapping[str, float] | None = None, digest: str | None = None) -> None:
        """Say that the process waits for ``go`` 0; linked ones with what they have compared."""
        self._say({"event": "ready", "metrics": dict(metrics or {}), "digest": digest})

    def checkpoint(self, number: int, commitment: str) -> None:
        """Say that a stage is done."""
        self._say({"event": "checkpoint", "number": number, "commitment": commitment})

    def progress(self, done: int, total: int) -> None:
        """Say how far the work is."""
        self._say({"event": "progress", "done": done, "total": total})

    def end(self, digest: str, metrics: Mapping[str, float]) -> None:
        """Say that all is done."""
        self._say({"event": "end", "digest": digest, "metrics": dict(metrics)})

    def failed(self, code: str, message: str) -> None:
        """Say why it is not."""
        self._say({"event": "failed", "code": code, "message": message[:MAX_MESSAGE]})

    def wait(self, stage: int) -> None:
        """Return when the supervisor lets `stage` start; end the process when it is gone."""
        while True:
            line, found, rest = self._rest.partition(b"\n")
            if found:
                self._rest = rest
                if json.loads(line) == {"go": stage}:
                    return
                continue
            chunk = os.read(self._orders, 4096)
            if not chunk:
                raise SystemExit(0)
            self._rest += chunk

    def _say(self, event: dict[str, Any]) -> None:
        line = json.dumps(event, allow_nan=False).encode() + b"\n"
        while line:
            line = line[os.write(self._events, line) :]
