"""The state machine: four parties on one simulated clock, and what can go wrong between them."""

from collections.abc import Callable

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.control.messages import Agree, Commit, Final, Message, Ready, Sign, Stop
from rtt_tracer.party import steps
from rtt_tracer.party.steps import State
from tests.rtt_tracer.party.simulator import Table, said
from tests.support.mpc import NOW


@pytest.fixture
def table() -> Table:
    return Table(last=3)


def ends(table: Table) -> dict[Hex32, tuple[State, str | None]]:
    return {
        dt: (seat.outcome.state, seat.outcome.reason)
        for dt, seat in table.seats.items()
        if seat.outcome
    }


def all_end(table: Table, reason: Reason, *but: Hex32) -> None:
    """Every party that is there has ended for one reason, and nothing more was stored."""
    found = ends(table)
    expected = {dt for dt, seat in table.seats.items() if seat.alive} - set(but)
    assert found.keys() >= expected
    assert {found[dt][1] for dt in expected} == {reason}


def at_stage(table: Table, stage: int) -> Callable[[], bool]:
    """Rows are shared in stage 0: nobody else starts it before that."""
    busy = table.sharers if stage == 0 else list(table.seats)
    return lambda: all(table.seats[dt].machine.stage >= stage for dt in busy)


def test_all_parties_finish_and_store_every_stage(table: Table) -> None:
    """Acceptance: 66"""
    table.sit()

    table.run(60)

    assert {state for state, _ in ends(table).values()} == {State.FINISHED}
    for seat in table.seats.values():
        assert seat.counted == seat.stored == [0, 1, 2, 3]


def test_shares_leave_only_after_all_have_agreed(table: Table) -> None:
    """Nothing of a row leaves while one party has not said the agreed hash."""
    last = table.plan.dts[-1]
    table.sit()
    table.passes = lambda a, b, message: not (a == last and isinstance(message, Agree))

    table.run(9)

    assert not any(
        isinstance(action, steps.SendShares | steps.Go)
        for seat in table.seats.values()
        for action in seat.done
    )


def test_shares_leave_only_after_all_engines_have_passed_their_preflight(table: Table) -> None:
    """A compute party whose engine is not ready, or never, gets no share.

    Acceptance: 66
    """
    late = table.computers[1]
    table.sit()
    table.passes = lambda a, b, message: not (a == late and isinstance(message, Ready))

    table.run(9)

    assert {seat.machine.stage for seat in map(table.seats.get, table.sharers) if seat} == {0}
    assert not any(
        isinstance(action, steps.SendShares)
        for seat in table.seats.values()
        for action in seat.done
    )


def test_engines_of_different_code_end_the_run_before_a_share_leaves(table: Table) -> None:
    """A compiler of another version makes another program of the same bundle."""
    one, other = table.computers
    table.sit()
    table.passes = lambda a, b, message: not isinstance(message, Ready)
    table.run(1)

    for dt, code in ((one, b"code"), (other, b"other code")):
        heard = steps.Heard(dt, Ready(code=sha256_hex(code)), NOW)
        table.tell(table.sharers[0], heard)
    table.run(60)

    all_end(table, Reason.AGREEMENT_MISMATCH)
    assert not any(
        isinstance(action, steps.SendShares)
        for seat in table.seats.values()
        for action in seat.done
    )


def test_party_that_never_comes_ends_the_run(table: Table) -> None:
    table.sit(table.plan.dts[2])

    table.run(60)

    all_end(table, Reason.PARTY_MISSING)
    assert all(seat.counted == [] for seat in table.seats.values())


def test_party_with_another_agreement_stops_before_a_share_leaves(table: Table) -> None:
    """A party with another learning rate, protocol or engine comes to another hash."""
    table.agreed[table.plan.dts[3]] = sha256_hex(b"another learning rate")
    table.sit()

    table.run(60)

    all_end(table, Reason.AGREEMENT_MISMATCH)
    assert all(seat.counted == [] for seat in table.seats.values())


@pytest.mark.parametrize(
    "reason", [Reason.GRANT_REVOKED, Reason.GRANT_EXPIRED, Reason.JOB_NOT_OPEN]
)
def test_revoked_or_expired_mid_run_ends_the_run_at_every_party(
    table: Table, reason: Reason
) -> None:
    """Threats: revoked mid-run, expired mid-run. Acceptance: 105"""
    owner = table.sharers[0]
    table.sit()
    table.gate = lambda dt, stage, now: reason if dt == owner and stage >= 2 else None

    table.run(60)

    all_end(table, reason)
    assert ends(table)[owner] == (State.REFUSED, reason)
    assert {seat.outcome.state for seat in table.seats.values() if seat.dt != owner} == {  # type: ignore[union-attr]
        State.STOPPED
    }
    assert max(seat.counted[-1] for seat in table.seats.values()) == 1


def test_revoked_mid_run_is_told_by_the_owners_own_gate(table: Table) -> None:
    """All gates see an owner too few; the reason is the one of the owner who withdrew."""
    owner = table.sharers[1]
    table.sit()

    def gate(dt: Hex32, stage: int, now: float) -> Reason | None:
        withdrawn = Reason.GRANT_REVOKED if now >= 2 else None  # asked a little later
        others = Reason.TOO_FEW_PARTICIPANTS
        return (withdrawn if dt == owner else others) if stage >= 2 else None

    table.gate = gate
    table.works = lambda dt, stage: stage < 2

    table.run(60)

    all_end(table, Reason.GRANT_REVOKED)
    assert ends(table)[owner] == (State.REFUSED, Reason.GRANT_REVOKED)


def test_owner_too_few_ends_the_run_when_nobody_says_why(table: Table) -> None:
    observer = table.computers[0]
    table.sit()
    table.gate = lambda dt, stage, now: (
        Reason.TOO_FEW_PARTICIPANTS if dt == observer and stage >= 2 else None
    )

    table.run(60)

    all_end(table, Reason.TOO_FEW_PARTICIPANTS)
    assert all(seat.stored == [0, 1] for seat in table.seats.values())


def test_revoked_while_a_long_stage_runs_ends_it_at_once(table: Table) -> None:
    """Acceptance: 105"""
    owner = table.sharers[0]
    revoked = False
    table.sit()
    table.works = lambda dt, stage: stage < 3
    table.gate = lambda dt, stage, now: Reason.GRANT_REVOKED if revoked and dt == owner else None
    table.run(60, at_stage(table, 3))
    revoked, before = True, table.now

    table.run(60)

    all_end(table, Reason.GRANT_REVOKED)
    assert table.now - before <= 2


def test_no_stage_starts_without_the_consent_of_every_data_owner(table: Table) -> None:
    """Rows are shared already: their owner's permission still counts for every stage."""
    owner = table.sharers[0]
    table.sit()
    table.gate = lambda dt, stage, now: (
        Reason.RECORDER_BEHIND if dt == owner and stage == 2 else None
    )

    table.run(40)

    assert {seat.counted[-1] for seat in table.seats.values() if seat.dt in table.computers} == {1}


BEHIND = pytest.mark.parametrize("reason", [Reason.RECORDER_BEHIND, Reason.RECORDER_OMISSION])


@BEHIND
def test_recorder_behind_is_waited_for(table: Table, reason: Reason) -> None:
    """What it has acknowledged may be on its way, too: stages can be faster than blocks."""
    table.sit()
    table.gate = lambda dt, stage, now: reason if stage == 2 and now < 40 else None

    table.run(100)

    assert {state for state, _ in ends(table).values()} == {State.FINISHED}
    assert table.now >= 40


@BEHIND
def test_recorder_behind_for_too_long_ends_the_run(table: Table, reason: Reason) -> None:
    table.sit()
    table.gate = lambda dt, stage, now: reason if stage == 2 else None

    table.run(200)

    all_end(table, reason)


@pytest.mark.parametrize("reason", [Reason.CHAIN_UNREACHABLE, Reason.RECORDER_UNREACHABLE])
def test_outage_shorter_than_a_permission_lives_is_survived(table: Table, reason: Reason) -> None:
    away = False
    table.sit()
    table.works = lambda dt, stage: stage < 2
    table.gate = lambda dt, stage, now: reason if away else None
    table.run(60, at_stage(table, 2))

    away = True
    table.run(table.limits.lease - 2)
    away = False
    table.run(table.limits.lease)

    assert not ends(table)


@pytest.mark.parametrize("stage", [0, 1, 3])
def test_chain_away_ends_the_run_when_the_permission_has_lapsed(table: Table, stage: int) -> None:
    """Acceptance: 111"""
    away = False
    table.sit()
    table.works = lambda dt, number: number < stage
    table.gate = lambda dt, number, now: Reason.CHAIN_UNREACHABLE if away else None
    table.run(60, at_stage(table, stage))
    away, before = True, table.now

    table.run(60)

    all_end(table, Reason.CHAIN_UNREACHABLE)
    assert table.now - before <= table.limits.lease + 2
    assert all(seat.stored == list(range(stage)) for seat in table.seats.values())


def test_peers_are_told_no_endpoint_of_the_owner(table: Table) -> None:
    """Threat: a peer reads the key in the URL of an owner's node."""
    owner = table.plan.dts[0]
    table.sit()
    secret = "https://node.bank.example/v3/APIKEY did not answer."
    table.tell(owner, steps.Trouble(Reason.CHAIN_UNREACHABLE, secret))

    table.run(60)

    all_end(table, Reason.CHAIN_UNREACHABLE)
    seat = table.seats[owner]
    told = [a.message for a in seat.done if isinstance(a, steps.Say)]
    assert [one.sentence for one in told if isinstance(one, Stop)] != []
    assert not any("bank" in str(one) for one in told)
    assert seat.outcome is not None
    assert seat.outcome.sentence == secret


def test_last_round_of_a_grant_is_used_to_the_end(table: Table) -> None:
    """During the last stage the gate may say that no further round is allowed."""
    table.sit()
    table.gate = lambda dt, stage, now: Reason.ROUNDS_EXHAUSTED if stage > 3 else None

    table.run(60)

    assert {state for state, _ in ends(table).values()} == {State.FINISHED}


def test_rounds_exhausted_before_the_last_stage_ends_the_run(table: Table) -> None:
    table.sit()
    table.gate = lambda dt, stage, now: Reason.ROUNDS_EXHAUSTED if stage > 2 else None

    table.run(60)

    all_end(table, Reason.ROUNDS_EXHAUSTED)


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
