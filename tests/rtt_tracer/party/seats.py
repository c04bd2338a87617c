"""What the tests of the state machine ask of a simulated table."""

from collections.abc import Callable

from datatoken.authorization.reasons import Reason
from datatoken.types import Hex32
from rtt_tracer.party.steps import State
from tests.rtt_tracer.party.simulator import Table


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
