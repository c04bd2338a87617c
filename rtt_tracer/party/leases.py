"""When a party asks its own gate, and when its permission has lapsed. Pure.

While stage k runs, the gate is asked about stage k + 1, again and again: a withdrawal stops
the run at once, and no stage starts on an old permission. Nothing is counted before a
stage starts. During the last stage the gate is still asked, to see a withdrawal; that no
further round would be allowed then is no reason to stop.
"""

from dataclasses import dataclass, field

from datatoken.authorization.reasons import Reason
from rtt_tracer.party.steps import Outcome, State

BEHIND = frozenset({Reason.RECORDER_BEHIND, Reason.RECORDER_OMISSION})
"""Waited for within the stage's deadline: the recorder is on its way.

Stages can be faster than blocks, so that what it has acknowledged is not in its log yet.
"""
OUTAGES = frozenset(
    {
        Reason.CHAIN_UNREACHABLE,
        Reason.STORE_UNREACHABLE,
        Reason.RECORDER_UNREACHABLE,
        Reason.STALE_VIEW,
        Reason.ROLLED_BACK_VIEW,
        Reason.NODES_DISAGREE,
        Reason.STATE_UNAVAILABLE,
    }
)
"""Waited for until the permission lapses."""
USED_UP = frozenset({Reason.ROUNDS_EXHAUSTED, Reason.ROUND_TOO_SMALL})
RETRY = 0.5


@dataclass
class Leases:
    """Permissions of one run.

    Parameters
    ----------
    last : int
        Number of the last stage.
    lifetime : float
        Seconds for which a permission is good.
    recheck : float
        Seconds between two questions.
    renewed : float
        When the gate last allowed something: at first, stage 0.
    """

    last: int
    lifetime: float
    recheck: float
    renewed: float
    next: int = 0
    granted: dict[int, float] = field(default_factory=dict)
    refusal: tuple[Reason, str] | None = None
    _asked: float = float("-inf")
    _waiting: int | None = None

    def wanted(self, now: float) -> int | None:
        """Return the stage to ask about now, or None; the question counts as asked."""
        pause = self.recheck if self.next in self.granted else RETRY
        if self._waiting is not None or now - self._asked < pause:
            return None
        self._asked, self._waiting = now, self.next
        return self.next

    def allow(self, stage: int, now: float) -> None:
        """Note that the gate allows a stage."""
        self._answered(stage)
        self.renewed, self.refusal = now, None
        if stage == self.next:
            self.granted[stage] = now

    def deny(self, stage: int, reason: Reason, sentence: str, now: float) -> Outcome | None:
        """Note a refusal; return how the run ends, or None when it is waited for."""
        self._answered(stage)
        self.granted.pop(stage, None)
        if stage != self.next:
            return None  # the answer to a question of the stage before: it is asked again
        if reason in BEHIND or (stage > self.last and reason in USED_UP):
            self.renewed = now  # these come last of all checks: everything else holds
        elif reason not in OUTAGES:
            return Outcome(State.REFUSED, reason, sentence)
        self.refusal = (reason, sentence)
        return None

    def fresh(self, now: float) -> bool:
        """Tell whether the next stage may start."""
        return now - self.granted.get(self.next, float("-inf")) <= self.lifetime

    def start(self) -> int:
        """Take the permission of the next stage and return its number."""
        stage = self.next
        self.granted.pop(stage, None)
        self.next, self.refusal, self._asked = stage + 1, None, float("-inf")
        return stage

    def lapsed(self, now: float) -> Outcome | None:
        """Return how the run ends when no permission could be had for too long."""
        if now - self.renewed <= self.lifetime:
            return None
        reason, sentence = self.refusal or (
            Reason.CHAIN_UNREACHABLE,
            "The own gate gave no answer.",
        )
        return Outcome(State.REFUSED, reason, sentence)

    def _answered(self, stage: int) -> None:
        if self._waiting == stage:
            self._waiting = None
