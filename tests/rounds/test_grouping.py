"""Grouping: which receipts make a round, and when it is over."""

from collections import Counter
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from datatoken.authorization.view import RoundGroup
from datatoken.rounds.documents import Closing, NamedRound, RoundKey
from datatoken.rounds.grouping import (
    Phase,
    Placement,
    Round,
    Rules,
    due,
    lingered,
    place,
    regroup,
)
from datatoken.rounds.receipts import ZERO_HEAD, Receipt
from datatoken.types import MessageKind

JOB, REQUEST = "0x" + "01" * 32, "0x" + "02" * 32
ADDRESS = "0x" + "aa" * 20
RULES = Rules(timeout=60)


def digest(number: int) -> str:
    return f"0x{number:064x}"


def receipt(member: int, input_number: int, run: str = "1", kind: str = "train") -> Receipt:
    return Receipt(
        job=JOB,
        request=REQUEST,
        run=run,
        dt=digest(member),
        kind=MessageKind(kind),
        sequence=1,
        head=ZERO_HEAD,
        input=digest(input_number),
        output=digest(0),
    )


receipts = st.lists(
    st.builds(
        receipt,
        st.integers(1, 4),
        st.integers(1, 3),
        st.sampled_from(["1", "2"]),
        st.sampled_from(["train", "evaluate"]),
    ),
    max_size=40,
)


def record(found: list[Receipt]) -> tuple[list[Round], list[Placement]]:
    """Place receipts as a recorder does, one after the other."""
    rounds: dict[int, Round] = {}
    placements = []
    for now, item in enumerate(found):
        placement = place(list(rounds.values()), item, now=now, next_id=len(rounds) + 1)
        rounds |= {changed.id: changed for changed in (*placement.ended, placement.round)}
        placements.append(placement)
    return list(rounds.values()), placements


def key_of(found: RoundGroup | RoundKey) -> tuple[str, ...]:
    return (found.request, found.run, found.kind.value, found.input)


@given(receipts)
def test_every_receipt_is_in_exactly_one_round(found: list[Receipt]) -> None:
    rounds, placements = record(found)

    assert sum(len(r.members) for r in rounds) == len(found)
    assert all(
        item.dt in placed.round.members for item, placed in zip(found, placements, strict=True)
    )
    assert all(RoundKey.of(i) == p.round.key for i, p in zip(found, placements, strict=True))


@given(receipts)
def test_nth_receipt_of_a_member_is_in_the_nth_round_of_its_key(found: list[Receipt]) -> None:
    seen: Counter[tuple[str, ...]] = Counter()
    _, placements = record(found)
    order: dict[tuple[str, ...], list[int]] = {}

    for item, placed in zip(found, placements, strict=True):
        key = key_of(RoundKey.of(item))
        ids = order.setdefault(key, [])
        if placed.round.id not in ids:
            ids.append(placed.round.id)
        seen[(*key, item.dt)] += 1
        assert ids.index(placed.round.id) + 1 == seen[(*key, item.dt)]


@given(receipts)
def test_one_round_of_each_run_is_open(found: list[Receipt]) -> None:
    rounds, _ = record(found)

    open_runs = Counter(r.key.run for r in rounds if r.phase is Phase.OPEN)

    assert open_runs == dict.fromkeys((item.run for item in found), 1)


@given(receipts)
def test_a_reader_groups_as_the_recorder_does(found: list[Receipt]) -> None:
    rounds, _ = record(found)

    groups = regroup((), found)

    assert [(key_of(g), g.members) for g in groups] == [(key_of(r.key), r.members) for r in rounds]


@given(receipts, st.integers(0, 40))
def test_groups_do_not_depend_on_where_documents_are_cut(found: list[Receipt], cut: int) -> None:
    once = regroup((), found)

    twice = regroup(regroup((), found[:cut]), found[cut:])

    assert twice == once


def test_one_participant_stalling_the_rest_ends_at_the_timeout() -> None:
    opened = place([], receipt(1, 1), now=100, next_id=1).round
    named = NamedRound(
        run="1", kind=MessageKind.TRAIN, input=digest(1), members=[digest(1), digest(2)], by=ADDRESS
    )

    assert due(opened, [named], RULES, now=159) is None
    assert due(opened, [named], RULES, now=160) is Closing.TIMEOUT


def test_round_is_over_when_all_named_members_have_reported() -> None:
    opened = place([], receipt(1, 1), now=0, next_id=1).round
    by_dt = NamedRound(
        run="1", kind=MessageKind.TRAIN, input=digest(1), members=[digest(1)], by=ADDRESS
    )
    by_number = NamedRound(run="1", kind=MessageKind.TRAIN, input=digest(1), expected=2, by=ADDRESS)

    assert due(opened, [by_dt], RULES, now=0) is Closing.COMPLETE
    assert due(opened, [by_number], RULES, now=0) is None
    assert due(opened, [by_number, by_dt], RULES, now=0) is Closing.COMPLETE
    assert due(replace(opened, phase=Phase.CLOSED), [by_dt], RULES, now=0) is None


def test_late_receipt_joins_its_own_round_and_ends_no_other() -> None:
    first = replace(place([], receipt(1, 1), now=0, next_id=1).round, phase=Phase.LOGGED)
    second = place([first], receipt(1, 2), now=1, next_id=2).round

    late = place([first, second], receipt(2, 1), now=2, next_id=3)

    assert late.late
    assert late.round.id == first.id
    assert late.ended == ()


def test_one_victim_sampled_alone_is_seen_although_inputs_repeat() -> None:
    """The same message again and again gives rounds of one, not one round of many."""
    groups = regroup((), [receipt(1, 1), receipt(2, 1), receipt(1, 1), receipt(1, 1)])

    assert [len(group.members) for group in groups] == [2, 1, 1]


def test_late_things_wait_for_a_round_but_not_for_ever() -> None:
    assert not lingered([], now=100, linger=20)
    assert not lingered([81, 90], now=100, linger=20)
    assert lingered([80, 90], now=100, linger=20)


# MPC


def mpc_record(
    found: list[Receipt], parties: frozenset[str]
) -> tuple[list[Round], list[Closing | None]]:
    """Place receipts and close what is due, as a recorder of an MPC job does."""
    rules = Rules(timeout=10**6, parties=parties)
    rounds: dict[int, Round] = {}
    for now, item in enumerate(found):
        placement = place(
            list(rounds.values()), item, now=now, next_id=len(rounds) + 1, parties=parties
        )
        assert placement.ended == ()
        rounds[placement.round.id] = placement.round
        closing = due(placement.round, [], rules, now=now)
        if closing is not None:
            closed = replace(placement.round, phase=Phase.CLOSED, closing=closing)
            rounds[closed.id] = closed
    return list(rounds.values()), [r.closing for r in rounds.values()]


@given(st.data(), st.integers(1, 4), st.integers(1, 5))
def test_overlapping_checkpoints_close_when_all_parties_have_reported(
    data: st.DataObject, parties: int, checkpoints: int
) -> None:
    """Parties are at different stages: in whatever order receipts come, no round is cut short."""
    everything = [receipt(p, c) for p in range(parties) for c in range(checkpoints)]
    found = data.draw(st.permutations(everything))
    members = frozenset(digest(p) for p in range(parties))

    rounds, closings = mpc_record(found, members)

    assert closings == [Closing.COMPLETE] * checkpoints
    assert all(r.members == members for r in rounds)


@given(st.data())
def test_round_without_one_party_stays_open_until_the_timeout(data: st.DataObject) -> None:
    members = frozenset(digest(p) for p in range(4))
    found = data.draw(st.permutations([receipt(p, 1) for p in range(3)]))

    [only], _ = mpc_record(found, members)

    assert only.phase is Phase.OPEN
    rules = Rules(timeout=60, parties=members)
    assert due(only, [], rules, now=only.opened_at + 59) is None
    assert due(only, [], rules, now=only.opened_at + 60) is Closing.TIMEOUT


def test_server_can_not_close_a_round_of_parties_early() -> None:
    members = frozenset([digest(1), digest(2)])
    opened = place([], receipt(1, 1), now=0, next_id=1, parties=members).round
    named = NamedRound(run="1", kind=MessageKind.TRAIN, input=digest(1), expected=1, by=ADDRESS)

    assert due(opened, [named], Rules(60, members), now=0) is None


def test_flower_rounds_of_a_mixed_job_end_as_ever_and_end_no_round_of_parties() -> None:
    members = frozenset([digest(1), digest(2)])
    of_parties = place([], receipt(1, 1), now=0, next_id=1, parties=members).round
    flower = place([of_parties], receipt(3, 2), now=1, next_id=2, parties=members)
    following = place([of_parties, flower.round], receipt(3, 3), now=2, next_id=3, parties=members)

    assert flower.ended == ()
    assert [r.id for r in following.ended] == [flower.round.id]
