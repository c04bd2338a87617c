"""What a requester sees of a run: every party's state, and what follows from them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from datatoken.authorization.reasons import HINTS, Reason
from datatoken.errors import DataTokenError, ExitCode
from datatoken.text import clean, short
from datatoken.types import Hex32

FINAL = frozenset({"finished", "refused", "stopped", "failed"})
_ORDER = ("refused", "failed", "stopped")
"""Whose reason is the run's: who stopped because a peer did comes last."""


@dataclass(frozen=True, slots=True)
class PartyView:
    """One party, as its service or its folder shows it.

    Attributes
    ----------
    state : str
        As in status.json.
    stage, stages : int or None
        The stage that runs, and the number of the last one.
    """

    dt: Hex32
    state: str = "waiting"
    reason: str = ""
    sentence: str = ""
    stage: int | None = None
    stages: int | None = None

    @property
    def over(self) -> bool:
        """Whether nothing follows."""
        return self.state in FINAL

    @property
    def broken(self) -> bool:
        """Whether it ended without its result."""
        return self.over and self.state != "finished"


@dataclass(frozen=True)
class RunView:
    """All parties of a run at one moment."""

    parties: tuple[PartyView, ...]

    @property
    def over(self) -> bool:
        """Whether all parties have ended."""
        return all(one.over for one in self.parties)

    @property
    def broken(self) -> bool:
        """Whether one has ended without its result: the others will not finish."""
        return any(one.broken for one in self.parties)

    @property
    def stage(self) -> int:
        """The stage that the slowest party is at; -1 before the first."""
        stages = [self.stages if one.state == "finished" else one.stage for one in self.parties]
        return min((-1 if stage is None else stage for stage in stages), default=-1)

    @property
    def stages(self) -> int:
        """Number of the last stage, as far as it is known."""
        return max((one.stages or 0 for one in self.parties), default=0)

    def why(self) -> PartyView | None:
        """Return the party whose end explains the others', or None."""
        for state in _ORDER:
            for one in self.parties:
                if one.state == state:
                    return one
        return None


def view(found: Mapping[Hex32, PartyView], dts: Iterable[Hex32]) -> RunView:
    """Return a run's view; a party that nobody has heard of yet is waiting."""
    return RunView(tuple(found.get(dt, PartyView(dt)) for dt in dts))


class RunEndedError(DataTokenError):
    """A run has ended without its result; with the reason of the party that ended it."""

    exit_code = ExitCode.RUN_FAILED

    def __init__(self, run: RunView) -> None:
        one = run.why()
        reason = one.reason if one is not None else ""
        if one is None:
            text, hint = "The run has not ended at all parties.", ""
        else:
            words = clean(one.sentence) or one.state
            text = f"DT {short(one.dt)} has {one.state} the run: {words}"
            if one.state == "failed":
                text = f"The run has failed at DT {short(one.dt)}: {words}"
            hint = HINTS[Reason(reason)] if reason in set(Reason) else ""
        super().__init__(text, hint)
        self.code = reason or "RUN_FAILED"
        if one is not None and one.state == "refused" and run.stage < 0:
            self.exit_code = ExitCode.REFUSED
