"""A thread that does one thing again and again, and outlives every error of it."""

import threading
from collections.abc import Callable

import structlog

from datatoken.errors import DataTokenError

log = structlog.get_logger(__name__)
LONGEST_PAUSE = 30.0


class Loop:
    """Calls a step every `interval` seconds, and at once after `wake`.

    Parameters
    ----------
    name : str
    step : callable
        An error makes the pause longer, nothing else.
    interval : float
    """

    def __init__(self, name: str, step: Callable[[], None], interval: float) -> None:
        self._name, self._step, self._interval = name, step, interval
        self._stop, self._woken = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self.failures = 0
        """Failed steps since the last one that worked."""

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def wake(self) -> None:
        """Do not wait for the interval's end."""
        self._woken.set()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread after the step at hand."""
        self._stop.set()
        self._woken.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def well(self) -> bool:
        """Whether the thread runs and its last step worked."""
        return self._thread.is_alive() and not self.failures

    def _run(self) -> None:
        while not self._stop.is_set():
            self._woken.clear()
            try:
                self._step()
                self.failures = 0
            except Exception as error:  # the thread must outlive a full disk, too
                self.failures += 1
                why = error.message if isinstance(error, DataTokenError) else ""
                log.warning("step failed", loop=self._name, error=type(error).__name__, why=why)
            pause = self._interval * 2 ** min(self.failures, 10)
            self._woken.wait(min(pause, max(self._interval, LONGEST_PAUSE)))
