"""Simulated runs in a world of their own: real chain, real Flower engine, real decisions."""

from collections.abc import Callable

import numpy as np
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo import Terms
from datatoken.ddo.terms import Constraint
from datatoken.types import MessageKind
from fl_edge.strategy.governed import GovernedStrategy, Strategy
from tests.fl_edge.simulation.parts import NewTown


def test_learns_what_a_bare_simulation_learns_and_leaves_flwr_as_it_was(new_town: NewTown) -> None:
    town = new_town()
    starts = Strategy.start, GovernedStrategy.start

    bare, governed = town.bare(), town.simulation().run()

    assert governed.learned.aggregate == bare.aggregate is not None
    assert governed.learned.metrics() == bare.metrics()
    assert governed.refusals == [] and governed.enforcement is False
    assert [one.kind for one in governed.rounds] == [MessageKind.TRAIN, MessageKind.EVALUATE] * 2
    assert (Strategy.start, GovernedStrategy.start) == starts


def test_an_owner_whose_terms_forbid_is_left_out_with_its_reason(new_town: NewTown) -> None:
    strict = Terms(parameters={"step": Constraint(type="float", maximum=0.5)})
    town = new_town(terms={0: strict, 5: Terms(purposes=["something else"])}, rounds=1)

    done = town.simulation().run()

    reasons = {(r.client, r.reason) for r in done.refusals}
    assert reasons == {
        (0, Reason.PARAMETERS_OUTSIDE_TERMS),
        (5, Reason.PURPOSE_NOT_ACCEPTED),
    }
    assert {r.dt for r in done.refusals} == {town.world.leaves[0], town.world.leaves[5]}
    assert dict(done.rounds[0].refused) == {
        "PARAMETERS_OUTSIDE_TERMS": 1,
        "PURPOSE_NOT_ACCEPTED": 1,
    }
    assert done.learned.arrays is not None
    first = done.learned.arrays.to_numpy_ndarrays()[0]
    np.testing.assert_allclose(first, np.mean([2, 3, 4, 5, 7, 8]), rtol=1e-6)


def test_a_grant_revoked_between_rounds_counts_from_the_next_one(new_town: NewTown) -> None:
    town = new_town(rounds=2)
    simulation = town.simulation(sent=lambda _: _after(simulation, 2, lambda: town.revoke(3)))

    done = simulation.run()

    assert {(r.round, r.client, r.reason) for r in done.refusals} == {
        (3, 3, Reason.GRANT_REVOKED),
        (4, 3, Reason.GRANT_REVOKED),
    }


@pytest.mark.parametrize(
    ("act", "reason"),
    [("close", Reason.JOB_NOT_OPEN), ("withdraw", Reason.NOT_ANNOUNCED)],
)
def test_a_job_that_is_withdrawn_stops_before_the_next_round(
    new_town: NewTown, act: str, reason: Reason
) -> None:
    town = new_town(rounds=5)

    def stop() -> None:
        if act == "close":
            with town.world.guarantor() as guarantor:
                guarantor.close_job(town.world.job)
        else:
            with town.world.provider() as provider:
                provider.withdraw(town.world.job, town.world.composite)

    simulation = town.simulation(sent=lambda _: _after(simulation, 2, stop))
    with pytest.raises(Refused) as refused:
        simulation.run()

    assert refused.value.reason is reason
    assert len(simulation.rounds) == 2


def test_too_few_owners_end_the_run_with_their_reasons(new_town: NewTown) -> None:
    forbidding = Terms(purposes=["something else"])
    town = new_town(members=4, terms=dict.fromkeys(range(3), forbidding), minimum=2)

    with pytest.raises(
        Refused, match=r"1 of 4 owners contributed.*PURPOSE_NOT_ACCEPTED"
    ) as refused:
        town.simulation().run()

    assert refused.value.reason is Reason.TOO_FEW_PARTICIPANTS


def test_a_reply_that_would_not_leave_a_real_node_is_kept_here_too(new_town: NewTown) -> None:
    town = new_town(members=4, rounds=1, config={"leak": True})

    done = town.simulation().run()

    assert {(r.kind, r.client, r.reason) for r in done.refusals} == {
        (MessageKind.TRAIN, 0, Reason.REPLY_WITHHELD)
    }


def test_an_owner_whose_rounds_are_used_up_answers_no_more(new_town: NewTown) -> None:
    town = new_town(members=4, rounds=3, terms={1: Terms(max_rounds=2)})

    done = town.simulation().run()

    assert {(r.round, r.client, r.reason) for r in done.refusals} == {
        (5, 1, Reason.ROUNDS_EXHAUSTED),
        (6, 1, Reason.ROUNDS_EXHAUSTED),
    }


def test_more_clients_than_owners_share_terms_and_not_memories(new_town: NewTown) -> None:
    town = new_town(members=2, rounds=1, terms={1: Terms(max_messages={MessageKind.TRAIN: 1})})

    done = town.simulation(clients=6).run()

    assert done.refusals == []
    assert [one.sent for one in done.rounds] == [6, 6]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_hundred_clients_on_ray_learn_what_a_bare_simulation_learns(new_town: NewTown) -> None:
    strict = Terms(parameters={"step": Constraint(type="float", maximum=0.5)})
    town = new_town(members=100, rounds=2, terms={41: strict})

    done = town.simulation(backend="ray", cpus=2).run()

    assert {(r.client, r.reason) for r in done.refusals} == {(41, Reason.PARAMETERS_OUTSIDE_TERMS)}
    assert done.learned.arrays is not None
    found = done.learned.arrays.to_numpy_ndarrays()[0]
    kept = [number for number in range(1, 101) if number != 42]
    np.testing.assert_allclose(found, 2 * np.mean(kept), rtol=1e-5)


def _after(simulation: object, rounds: int, act: Callable[[], None]) -> None:
    """Act once `rounds` rounds have left."""
    if len(simulation.rounds) == rounds:  # type: ignore[attr-defined]
        act()
