"""The two pipes to the supervisor, and why a run fails."""

import json
import os
import time

EVENTS_FD, ORDERS_FD = "DATATOKEN_EVENTS", "DATATOKEN_ORDERS"
MAX_MESSAGE = 1500
PROGRESS_SECONDS = 1.0


class Failed(Exception):  # noqa: N818 - the word of the event
    """The run fails; said to supervisor and peers, so never with anything of the rows in it."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Pipes:
    """Says events, hears orders; see the supervisor's `engines.events`."""

    def __init__(self, events: int, orders: int) -> None:
        self._events, self._orders = events, os.fdopen(orders, "rb")
        self._spoken = 0.0

    @classmethod
    def inherited(cls) -> "Pipes":
        """Return the pipes that the environment names."""
        return cls(int(os.environ[EVENTS_FD]), int(os.environ[ORDERS_FD]))

    def say(self, event: str, **more: object) -> None:
        """Say one event."""
        say(self._events, event, **more)

    def progress(self, done: int, total: int) -> None:
        """Say how far the stage is, at most once a second."""
        if time.monotonic() > self._spoken + PROGRESS_SECONDS:
            self._spoken = time.monotonic()
            self.say("progress", done=done, total=total)

    def wait_for(self, stage: int) -> None:
        """Wait for the order that lets a stage start; end where nobody gives orders any more."""
        line = self._orders.readline()
        if not line:
            os._exit(1)
        if json.loads(line.decode()).get("go") != stage:
            raise Failed("PROTOCOL_REFUSED", f"the order was not for stage {stage}")


def say(descriptor: int, event: str, **more: object) -> None:
    """Write one event as one line; short enough that two writers do not mix."""
    message = more.get("message")
    if isinstance(message, str):
        more["message"] = message[:MAX_MESSAGE]
    line = json.dumps(dict(more, event=event), allow_nan=False)
    os.write(descriptor, line.encode() + b"\n")
