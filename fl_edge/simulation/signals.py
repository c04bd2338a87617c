"""What threads of the engine tell each other, where flwr looks every tenth of a second.

flwr's engine asks its state for a message of every node, over and over, and its grid for every
reply that is missing. With 1,000 nodes in one process these questions keep the clients waiting.
"""

import threading
from collections.abc import Iterable

from datatoken.errors import RunFailedError

PATIENCE = 1.0
"""Seconds after which is looked for what nobody has told of."""


class Signals:
    """Knows what was sent and answered, and whether the engine still runs; safe between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answered: set[str] = set()
        """Ids of messages whose replies nobody has taken yet."""
        self._awaited: list[set[str]] = []
        self._looks = 0
        self._started = self._ended = False

    def started(self) -> None:
        """Tell that the engine has made its nodes."""
        with self._changed:
            self._started = True
            self._changed.notify_all()

    def wait_for_start(self, seconds: float) -> bool:
        """Return whether the engine has made its nodes, after so many seconds at the latest."""
        with self._changed:
            self._changed.wait_for(lambda: self._started or self._ended, seconds)
            return self._started

    def end(self) -> None:
        """Tell that the engine has stopped: nothing is sent or answered any more."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def check(self) -> None:
        """Raise `RunFailedError` once the engine has stopped."""
        if self._ended:
            raise RunFailedError("The simulation engine has stopped.")

    def answered(self, message: str) -> None:
        """Tell that a client has dealt with a message."""
        with self._changed:
            self._answered.add(message)
            for missing in self._awaited:
                missing.discard(message)
            if not all(self._awaited):
                self._changed.notify_all()

    def taken(self, messages: Iterable[str]) -> None:
        """Forget messages whose replies have been taken."""
        with self._changed:
            self._answered.difference_update(messages)

    def wait_for_answers(self, messages: Iterable[str], seconds: float) -> bool:
        """Wait until all are answered, or so many seconds; return False if they were already."""
        with self._changed:
            missing = set(messages) - self._answered
            if not missing:
                return False
            self._awaited.append(missing)
            self._changed.wait_for(lambda: not missing or self._ended, seconds)
            self._awaited = [other for other in self._awaited if other is not missing]
            return True

    def pushed(self, looks: int) -> None:
        """Tell that messages lie ready; a look takes one for each node."""
        with self._changed:
            self._looks += looks
            self._changed.notify_all()

    def wait_for_messages(self, seconds: float) -> None:
        """Return when messages lie ready, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._looks > 0 or self._ended, seconds)
            self._looks = max(0, self._looks - 1)


class StopEvent(threading.Event):
    """The engine's stop event: who waits for it a while waits until there is work.

    Parameters
    ----------
    stop : threading.Event
        The engine's own.
    signals : Signals
    """

    def __init__(self, stop: threading.Event, signals: Signals) -> None:
        super().__init__()
        self._stop, self._signals = stop, signals

    def is_set(self) -> bool:
        """Tell whether the engine is to stop."""
        return self._stop.is_set()

    def set(self) -> None:
        """Have the engine stop, and tell everybody who waits for it."""
        self._stop.set()
        self._signals.end()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for messages; never longer than `PATIENCE`."""
        if not self._stop.is_set():
            self._signals.wait_for_messages(PATIENCE)
        return self._stop.is_set()
