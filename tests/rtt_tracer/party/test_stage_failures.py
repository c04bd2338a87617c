"""The state machine: parties and engines that die, stall, skip or lie."""

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.control.messages import Commit, Final, Message, Sign, Stop
from rtt_tracer.party import steps
from rtt_tracer.party.steps import State
from tests.rtt_tracer.party.seats import all_end, at_stage, ends
from tests.rtt_tracer.party.simulator import Table, said


@pytest.fixture
def table() -> Table:
    return Table(last=3)


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_party_killed_ends_the_run_at_all_others(table: Table, stage: int) -> None:
    victim = table.computers[1]
    table.sit()
    table.works = lambda dt, number: number < stage
    table.run(60, at_stage(table, stage))

    table.kill(victim)
    table.run(60)

    all_end(table, Reason.PARTY_MISSING, victim)
    assert all(seat.stored == list(range(stage)) for seat in table.seats.values())


def test_broken_engine_is_explained_by_the_peer_that_broke_it(table: Table) -> None:
    """The link dies with a killed peer first; the control channel notices seconds later."""
    victim, survivor = table.computers
    table.sit()
    table.works = lambda dt, number: number < 2
    table.run(60, at_stage(table, 2))
    table.tell(survivor, steps.EngineGone(139))
    table.run(3)
    assert table.seats[survivor].outcome is None

    table.kill(victim)
    table.run(60)

    all_end(table, Reason.PARTY_MISSING, victim)


def test_engine_that_ends_by_itself_ends_the_run(table: Table) -> None:
    table.sit()
    table.works = lambda dt, number: number < 2
    table.run(60, at_stage(table, 2))

    table.tell(table.computers[0], steps.EngineGone(255))
    table.run(60)

    all_end(table, Reason.ENGINE_FAILED)


@pytest.mark.parametrize("code", [1, 139, -9])
def test_end_without_a_good_exit_code_is_no_success(table: Table, code: int) -> None:
    """A run is good when final events and exit codes are."""
    one = table.computers[0]
    table.sit()
    table.works = lambda dt, number: dt != one or number < 3
    table.run(60, at_stage(table, 3))
    for event in (
        said("checkpoint", number=3, commitment=sha256_hex(b"c")),
        said("end", digest=table.agreed[one]),
        steps.EngineGone(code),
    ):
        table.tell(one, event)

    table.run(60)

    all_end(table, Reason.ENGINE_FAILED)


def test_good_exit_code_without_the_final_event_is_no_success(table: Table) -> None:
    one = table.computers[0]
    table.sit()
    table.works = lambda dt, number: dt != one or number < 2
    table.run(60, at_stage(table, 2))

    table.tell(one, steps.EngineGone(0))
    table.run(60)

    all_end(table, Reason.ENGINE_FAILED)


@pytest.mark.parametrize("number", [0, 2, 3])
def test_engine_that_skips_or_repeats_a_stage_ends_the_run(table: Table, number: int) -> None:
    one = table.computers[0]
    table.sit()
    table.works = lambda dt, stage: stage < 1
    table.run(60, at_stage(table, 1))

    table.tell(one, said("checkpoint", number=number, commitment=sha256_hex(b"c")))
    table.run(60)

    all_end(table, Reason.ENGINE_FAILED)


def test_silent_engine_ends_the_run(table: Table) -> None:
    """An operation that outlives its deadline."""
    table.sit()
    table.works = lambda dt, stage: stage < 2 or dt != table.computers[1]

    table.run(200)

    all_end(table, Reason.DEADLINE_PASSED)


def test_one_participant_stalling_the_rest_ends_the_run(table: Table) -> None:
    """A party that computes and signs for itself, and never tells."""
    one = table.sharers[1]
    table.sit()
    table.passes = lambda a, b, message: (
        not (a == one and isinstance(message, Sign) and message.number == 1)
    )

    table.run(200)

    found = ends(table)
    assert {reason for _, reason in found.values()} <= {Reason.PARTY_MISSING}
    assert all(seat.stored == [0] for seat in table.seats.values() if seat.dt != one)


@pytest.mark.parametrize("kind", [Commit, Sign])
def test_missing_word_of_one_party_leaves_the_stage_unlogged(
    table: Table, kind: type[Message]
) -> None:
    one = table.computers[0]
    table.sit()
    table.passes = lambda a, b, message: (
        not (
            a == one and isinstance(message, kind) and message.number == 2  # type: ignore[union-attr]
        )
    )

    table.run(200)

    all_end(table, Reason.PARTY_MISSING)
    assert all(seat.stored[:2] == [0, 1] for seat in table.seats.values())
    assert all(2 not in seat.stored for seat in table.seats.values() if seat.dt != one)


def test_party_that_commits_to_other_results_towards_others_is_found_out(table: Table) -> None:
    """Equivocation: the common digests differ, so the signatures do not fit."""
    liar, victim = table.computers
    table.sit()
    other = sha256_hex(b"other shares")

    def passes(a: Hex32, b: Hex32, message: Message) -> bool:
        if a == liar and b == victim and isinstance(message, Commit) and message.number == 1:
            table.tell(b, steps.Heard(a, Commit(number=1, commitment=other), 1_800_000_000))
            return False
        return True

    table.passes = passes
    table.run(200)

    all_end(table, Reason.CHECKPOINT_MISMATCH)
    assert all(seat.stored == [0] for seat in table.seats.values())


def test_different_final_word_is_no_success(table: Table) -> None:
    """The same program at all parties ends with one digest: anything else is garbage."""
    one = table.computers[0]
    table.sit()
    table.works = lambda dt, number: dt != one or number < 3
    table.run(60, at_stage(table, 3))
    for event in (
        said("checkpoint", number=3, commitment=table.commitment(one, 3)),
        said("end", digest=sha256_hex(b"garbage")),
        steps.EngineGone(0),
    ):
        table.tell(one, event)

    table.run(60)

    all_end(table, Reason.CHECKPOINT_MISMATCH)


def test_operator_stops_the_run_at_all_parties(table: Table) -> None:
    table.sit()
    table.works = lambda dt, stage: stage < 1
    table.run(60, at_stage(table, 1))

    table.tell(table.sharers[0], steps.Interrupted())
    table.run(60)

    all_end(table, Reason.PARTY_STOPPED)
    assert {state for state, _ in ends(table).values()} == {State.STOPPED}


def test_stop_with_an_unknown_code_is_still_a_stop(table: Table) -> None:
    """A peer's words are shown with care and believed in nothing but that it stops."""
    one, other = table.plan.dts[:2]
    table.sit()
    table.works = lambda dt, stage: stage < 1
    table.run(1)
    said_so = Stop(reason="WHATEVER", sentence="evil \x1b[31m words")

    table.tell(one, steps.Heard(other, said_so, 1_800_000_000))
    table.run(60)

    outcome = table.seats[one].outcome
    assert outcome is not None
    assert outcome.reason == Reason.PARTY_STOPPED
    assert "\x1b" not in outcome.sentence


def test_stranger_is_not_heard(table: Table) -> None:
    table.sit()

    for seat in table.seats.values():
        table.tell(seat.dt, steps.Heard(sha256_hex(b"nobody"), Stop(reason="X"), 1_800_000_000))
    table.run(60)

    assert {state for state, _ in ends(table).values()} == {State.FINISHED}


def test_rows_in_an_engines_last_words_stay_at_home(table: Table) -> None:
    """Threat: data in error texts. Who encodes rows has no network, and no other way out."""
    owner = table.sharers[0]
    table.sit()
    table.works = lambda dt, stage: dt != owner
    table.run(60, at_stage(table, 0))

    table.tell(owner, said("progress", done=34500, total=34500))
    table.tell(owner, said("failed", code="MILLER", message="Miller owes 34,500"))
    table.run(60)

    all_end(table, Reason.ENGINE_FAILED)
    for dt, seat in table.seats.items():
        assert seat.outcome is not None
        assert ("Miller" in seat.outcome.sentence) == (dt == owner)
    told = [one for one in table.seats[owner].done if not isinstance(one, steps.Finish)]
    assert not any("Miller" in repr(one) or "34500" in repr(one) for one in told)


def test_peer_that_ended_well_may_go(table: Table) -> None:
    """A connection that closes after the last word is no failure."""
    first = table.plan.dts[0]
    table.sit()
    table.passes = lambda a, b, message: not (isinstance(message, Final) and b == first)
    table.run(60, lambda: len(ends(table)) == 3)
    for dt in table.plan.dts[1:]:
        table.tell(first, steps.Heard(dt, Final(digest=table.agreed[dt], checkpoints=4), 1))
        table.tell(first, steps.Lost(dt))

    table.run(10)

    assert ends(table)[first] == (State.FINISHED, None)
