"""The state machine: four parties on one simulated clock, and what can go wrong between them."""

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.control.messages import Agree, Ready, Stop
from rtt_tracer.party import steps
from rtt_tracer.party.steps import State
from tests.rtt_tracer.party.seats import all_end, at_stage, ends
from tests.rtt_tracer.party.simulator import Table
from tests.support.mpc import NOW


@pytest.fixture
def table() -> Table:
    return Table(last=3)


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
