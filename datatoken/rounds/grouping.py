"""Which receipts make a round, and when a round is over. Pure: no clock, no disk, no chain.

Rules:
 (1) receipts belong to one round when job, request, run, kind and input digest agree;
 (2) a DT's second receipt under one key belongs to the second round under that key, its
     third to the third (repeated rounds have equal inputs);
 (3) a round is over when all members that a server names have reported, when a receipt of
     another round of the same run arrives, or at the time-out; a round of an MPC job is over
     when all its parties have reported, or at the time-out: rounds of one run may overlap;
 (4) a receipt whose round has its document already is late: it goes into the next one, or,
     when none follows within `linger`, into one of its own.
What a server names closes a round early. It never admits or removes a receipt.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from datatoken.authorization.view import RoundGroup
from datatoken.rounds.documents import Closing, NamedRound, RoundKey
from datatoken.rounds.receipts import Receipt
from datatoken.types import Hex32

DEFAULT_LINGER = 20
"""Seconds that late receipts and annotations wait for a round to go with."""


class Phase(StrEnum):
    """Where a round is in the recorder."""

    OPEN = "open"
    CLOSED = "closed"
    """Over, and waiting for its document."""
    LOGGED = "logged"
    """Its document exists; on the chain or on the way there."""


@dataclass(frozen=True, slots=True)
class Round:
    """One round of a job, as the recorder sees it.

    Attributes
    ----------
    id : int
        The recorder's own number, in order of opening.
    opened_at : int
        Arrival of the first receipt, Unix time in seconds.
    """

    id: int
    key: RoundKey
    opened_at: int
    members: frozenset[Hex32] = frozenset()
    phase: Phase = Phase.OPEN
    closing: Closing | None = None


@dataclass(frozen=True, slots=True)
class Rules:
    """When the rounds of a job are over, as its documents say.

    Attributes
    ----------
    timeout : int
        The terms' time-out, in seconds.
    parties : frozenset of Hex32
        The DTs that run MPC operations: each of their rounds is one of all of them.
    """

    timeout: int
    parties: frozenset[Hex32] = frozenset()


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a receipt goes: the round with its DT added, and the rounds that it ends."""

    round: Round
    ended: tuple[Round, ...] = ()

    @property
    def late(self) -> bool:
        """Tell whether the round's document exists already."""
        return self.round.phase is Phase.LOGGED


def place(
    rounds: Sequence[Round],
    receipt: Receipt,
    *,
    now: int,
    next_id: int,
    parties: frozenset[Hex32] = frozenset(),
) -> Placement:
    """Return the round of a new receipt, rules (1) to (3).

    Parameters
    ----------
    rounds : sequence of Round
        All rounds of the receipt's job, in order of opening.
    receipt : Receipt
        One that is not in any of them yet.
    now : int
        Time of its arrival.
    next_id : int
        The number of the round, should it open one.
    parties : frozenset of Hex32
        Of the job (`Rules`): a receipt of one of them ends no other round.
    """
    key = RoundKey.of(receipt)
    for found in rounds:
        if found.key == key and receipt.dt not in found.members:
            return Placement(replace(found, members=found.members | {receipt.dt}))
    ended = tuple(
        replace(other, phase=Phase.CLOSED, closing=Closing.NEXT)
        for other in rounds
        if other.phase is Phase.OPEN
        and other.key.run == key.run
        and receipt.dt not in parties
        and not other.members & parties
    )
    return Placement(Round(next_id, key, now, frozenset({receipt.dt})), ended)


def due(found: Round, named: Sequence[NamedRound], rules: Rules, *, now: int) -> Closing | None:
    """Return why an open round is over, rule (3), or None.

    Parameters
    ----------
    named : sequence of NamedRound
        What servers say of rounds with this key; the last one counts.
    rules : Rules
        Of the round's job. What servers say does not close a round of MPC parties.
    """
    if found.phase is not Phase.OPEN:
        return None
    if found.members & rules.parties:
        complete = found.members >= rules.parties
    else:
        complete = bool(named) and _complete(found, named[-1])
    if complete:
        return Closing.COMPLETE
    return Closing.TIMEOUT if now - found.opened_at >= rules.timeout else None


def _complete(found: Round, named: NamedRound) -> bool:
    if named.members:
        return found.members >= set(named.members)
    return named.expected is not None and len(found.members) >= named.expected


def lingered(arrivals: Iterable[int], *, now: int, linger: int) -> bool:
    """Tell whether something that came late has waited long enough, rule (4)."""
    return any(now - arrival >= linger for arrival in arrivals)


def regroup(groups: Iterable[RoundGroup], receipts: Iterable[Receipt]) -> tuple[RoundGroup, ...]:
    """Add logged receipts to the groups of a log, rules (1) and (2).

    Whatever documents a recorder chose to put them into: readers group anew.

    Returns
    -------
    tuple of RoundGroup
        In order of first appearance.
    """
    book: list[tuple[tuple[str, ...], RoundGroup, set[Hex32]]] = []
    by_key: dict[tuple[str, ...], list[int]] = {}

    def open_group(group: RoundGroup) -> None:
        key = (group.request, group.run, group.kind.value, group.input)
        by_key.setdefault(key, []).append(len(book))
        book.append((key, group, set(group.members)))

    for group in groups:
        open_group(group)
    for receipt in receipts:
        key = (receipt.request, receipt.run, receipt.kind.value, receipt.input)
        for index in by_key.get(key, []):
            members = book[index][2]
            if receipt.dt not in members:
                members.add(receipt.dt)
                break
        else:
            alone = frozenset({receipt.dt})
            open_group(RoundGroup(receipt.request, receipt.run, receipt.kind, receipt.input, alone))
    return tuple(
        group if len(group.members) == len(members) else replace(group, members=frozenset(members))
        for _, group, members in book
    )
