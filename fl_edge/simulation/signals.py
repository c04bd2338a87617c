"""What threads of the engine tell each other, where flwr looks every tenth of a second.

flwr's engine asks its state for a message of every node, over and over, and its grid for every
reply that is missing. With 1,000 nodes in one process these questions keep the clients waiting.
"""

import threading

PATIENCE = 1.0
"""Seconds after which is looked for what nobody has told of."""


class Signals:
    """Counts what has been sent and answered; safe between threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._answers = self._looks = 0

    @property
    def answers(self) -> int:
        """How many messages the clients have dealt with so far."""
        return self._answers

    def answered(self) -> None:
        """Tell that a client has dealt with a message."""
        with self._changed:
            self._answers += 1
            self._changed.notify_all()

    def wait_for_answers(self, count: int, seconds: float) -> None:
        """Return when there are so many, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._answers >= count, seconds)

    def pushed(self, looks: int) -> None:
        """Tell that messages lie ready; a look takes one for each node."""
        with self._changed:
            self._looks += looks
            self._changed.notify_all()

    def wait_for_messages(self, seconds: float) -> None:
        """Return when messages lie ready, or after so many seconds."""
        with self._changed:
            self._changed.wait_for(lambda: self._looks > 0, seconds)
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
        """Have the engine stop."""
        self._stop.set()
        self._signals.pushed(1)

    def wait(self, timeout: float | None = None) -> bool:
        """Wait for messages; never longer than `PATIENCE`."""
        if not self._stop.is_set():
            self._signals.wait_for_messages(PATIENCE)
        return self._stop.is_set()
