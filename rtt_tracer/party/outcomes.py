"""Ways in which a run ends badly, each with its sentence."""

from collections.abc import Sequence

from datatoken.authorization.reasons import Reason
from datatoken.text import short
from datatoken.types import Hex32
from rtt_tracer.party.steps import Outcome, State


def failed(reason: str, sentence: str, told: str | None = None) -> Outcome:
    """Return how a run ends when something broke; `told` is what peers get to know of it."""
    return Outcome(State.FAILED, reason, sentence, told=told)


def missing(dts: Sequence[Hex32], what: str, seconds: float) -> Outcome:
    """Return how it ends when parties have not done `what` in time."""
    names = ", ".join(short(dt) for dt in dts[:4]) or "a party"
    return failed(Reason.PARTY_MISSING, f"{seconds:g} s have passed in which {names} had {what}.")


def deadline(what: str, seconds: float) -> Outcome:
    """Return how it ends when a deadline of this party's own has passed."""
    return failed(Reason.DEADLINE_PASSED, f"{what} within {seconds:g} s.")
