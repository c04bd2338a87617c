"""What is refused, with real services and real Rosetta: MVP 1's attempts, and how each must end."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from datatoken.authorization.request import SignedRequest
from examples.mvp1_banks import refusals
from examples.mvp1_banks.consent import OUTSIDE_TERMS
from examples.mvp3_private_ai.functions import UNGRANTED
from examples.mvp3_private_ai.story import ROSETTA, Story
from examples.support.report import Refusal

EXPECTED: Mapping[str, frozenset[str]] = {
    **refusals.EXPECTED,
    UNGRANTED: frozenset({"GRANT_REVOKED"}),
}
LINES: Mapping[str, tuple[int, ...]] = {
    OUTSIDE_TERMS: (42, 86),
    UNGRANTED: (45, 48, 91),
    refusals.REPLAYED: (87, 112),
    refusals.FORGED: (87, 112),
    refusals.PAUSED: (44, 88),
    refusals.SWAPPED: (88, 103),
    refusals.REVOKED: (88, 104, 105),
    refusals.AFTER: (44, 88),
}
"""What each refusal shows, as lines of docs/acceptance.md."""


def refuse_all(story: Story, finished: SignedRequest) -> list[Refusal]:
    """Try everything, one after the other; `finished` is the request of an honest run."""
    return [
        refusals.replayed(story, finished),
        refusals.forged(story),
        refusals.paused(story),
        *refusals.swapped(story, ROSETTA),
        refusals.revoked(story),
        refusals.after(story),
    ]


def unexpected(found: Sequence[Refusal]) -> list[str]:
    """Return a clause for each refusal that has another reason than the one it must have."""
    return [
        f"{one.case} ({one.by}): {one.code or 'not refused'}"
        for one in found
        if one.code not in EXPECTED.get(one.case, frozenset())
    ]


def with_lines(found: Sequence[Refusal]) -> list[Refusal]:
    """Return refusals with the acceptance lines that they show."""
    return [replace(refusal, lines=LINES[refusal.case]) for refusal in found]
