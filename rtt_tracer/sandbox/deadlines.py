"""Deadlines of an operation: start, progress, end. Pure: the time is passed in.

Start: from the launch until it is ready. Progress: the longest silence while it has an order
to work on; waiting for the next order is not silence. End: the whole.
"""

import math
from dataclasses import dataclass, replace

from rtt_tracer.engines.events import EngineEvent, EventKind

FINAL = (EventKind.END, EventKind.FAILED)


@dataclass(frozen=True, slots=True)
class Deadlines:
    """When an operation has had its time.

    Attributes
    ----------
    begun : float
        The moment of the launch, on any monotonic clock.
    start, progress, end : float
        Seconds.
    """

    begun: float
    start: float
    progress: float
    end: float
    ready: bool = False
    working_since: float | None = None
    over: bool = False

    def seen(self, event: EngineEvent, now: float) -> "Deadlines":
        """Return the deadlines after `event` came."""
        if event.kind in FINAL:
            return replace(self, over=True, working_since=None)
        if event.kind is EventKind.READY:
            return replace(self, ready=True)
        if event.kind is EventKind.CHECKPOINT:
            return replace(self, working_since=None)
        return replace(self, working_since=None if self.working_since is None else now)

    def ordered(self, now: float) -> "Deadlines":
        """Return the deadlines after a stage was let go."""
        return replace(self, working_since=now)

    @property
    def due(self) -> tuple[float, str]:
        """The next deadline and the sentence for the day it passes."""
        found = [(self.begun + self.end, f"The operation did not end within {self.end:g} s.")]
        if self.over:
            return math.inf, ""
        if not self.ready:
            found.append(
                (self.begun + self.start, f"The engine was not ready within {self.start:g} s.")
            )
        if self.working_since is not None:
            found.append(
                (
                    self.working_since + self.progress,
                    f"The operation gave no sign of progress for {self.progress:g} s.",
                )
            )
        return min(found)

    def passed(self, now: float) -> str | None:
        """Return a sentence when a deadline has passed, else None."""
        moment, sentence = self.due
        return sentence if now >= moment else None

    def left(self, now: float) -> float:
        """Return seconds until the next deadline, never negative."""
        return max(0.0, self.due[0] - now)
