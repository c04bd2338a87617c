"""GovernedStrategy around flwr's own strategies: who contributes is counted, results are named."""

import numpy as np
import pytest
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy import (
    FedAdam,
    FedAvg,
    FedTrimmedAvg,
    Krum,
    QFedAvg,
    Strategy,
)

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import MessageKind
from fl_edge.messages.digest import record_digest
from fl_edge.strategy import Claim, GovernedStrategy
from fl_edge.strategy.spool import digest_of
from tests.fl_edge.strategy.grid import MemoryGrid, Node, honest, refuse, silent

KNOBS = {"min_train_nodes": 2, "min_evaluate_nodes": 2, "min_available_nodes": 2}
STRATEGIES = {
    "FedAvg": lambda: FedAvg(**KNOBS),
    "FedAdam": lambda: FedAdam(eta=0.1, **KNOBS),
    "Krum": lambda: Krum(num_malicious_nodes=0, **KNOBS),
    "FedTrimmedAvg": lambda: FedTrimmedAvg(**KNOBS),
}


class Kept(list[tuple[Claim, ArrayRecord]]):
    """Claims in memory."""

    def put_claim(self, claim: Claim, arrays: ArrayRecord) -> None:
        self.append((claim, arrays))


def start_arrays() -> ArrayRecord:
    return ArrayRecord([np.zeros((3, 1), np.float32), np.zeros(1, np.float32)])


def run(strategy: Strategy, nodes: list[Node], rounds: int = 2, **more: object):
    grid = MemoryGrid(nodes)
    result = strategy.start(grid, start_arrays(), num_rounds=rounds, timeout=1, **more)
    return result, grid


@pytest.mark.parametrize("name", STRATEGIES)
def test_wraps_strategy_and_gives_the_same_result(name: str) -> None:
    bare, _ = run(STRATEGIES[name](), [honest] * 4)

    wrapped = GovernedStrategy(STRATEGIES[name](), min_participants=3)
    governed, _ = run(wrapped, [honest] * 4)

    for ours, theirs in zip(
        governed.arrays.to_numpy_ndarrays(), bare.arrays.to_numpy_ndarrays(), strict=True
    ):
        assert np.array_equal(ours, theirs)


@pytest.mark.parametrize("name", STRATEGIES)
def test_one_owner_refuses_and_the_others_go_on_while_the_minimum_holds(name: str) -> None:
    """Acceptance: 105."""
    wrapped = GovernedStrategy(STRATEGIES[name](), min_participants=3)

    result, _ = run(wrapped, [honest, honest, honest, refuse("GRANT_REVOKED: it was revoked.")])

    assert result.arrays is not None


@pytest.mark.parametrize("name", STRATEGIES)
def test_plain_strategy_that_would_go_on_with_too_few(name: str) -> None:
    """Acceptance: 105."""
    nodes = [honest, honest, refuse("GRANT_REVOKED: it was revoked."), silent]
    bare, _ = run(STRATEGIES[name](), nodes)
    assert bare.arrays is not None

    with pytest.raises(Refused) as refused:
        run(GovernedStrategy(STRATEGIES[name](), min_participants=3), nodes)

    assert refused.value.reason is Reason.TOO_FEW_PARTICIPANTS
    assert "2 of 4 owners contributed to a train round; the terms ask for 3" in str(refused.value)
    assert "1 x refused by data owner: GRANT_REVOKED" in str(refused.value)
    assert "1 x no reply before the time-out" in str(refused.value)


def test_everybody_loses_the_chain() -> None:
    """Acceptance: 111."""
    nodes = [refuse("CHAIN_UNREACHABLE: no answer.")] * 3

    with pytest.raises(Refused) as refused:
        run(GovernedStrategy(FedAvg(**KNOBS), min_participants=2), nodes)

    assert refused.value.reason is Reason.CHAIN_UNREACHABLE


def test_most_lose_the_chain_after_others_have_contributed() -> None:
    """Acceptance: 111."""
    nodes = [honest, *[refuse("CHAIN_UNREACHABLE: no answer.")] * 2]

    with pytest.raises(Refused, match="1 of 3 owners contributed") as refused:
        run(GovernedStrategy(FedAvg(**KNOBS), min_participants=2), nodes)

    assert refused.value.reason is Reason.CHAIN_UNREACHABLE


def test_one_victim_sampled_alone() -> None:
    strategy = FedAvg(
        fraction_train=0.0001, min_train_nodes=1, min_evaluate_nodes=1, min_available_nodes=1
    )
    grid = MemoryGrid([honest] * 4)

    with pytest.raises(Refused, match="1 owners were asked for a train round"):
        GovernedStrategy(strategy, min_participants=3).start(grid, start_arrays(), timeout=1)

    assert grid.sent == []


def test_too_few_answer_an_evaluation() -> None:
    def trains_only(message):
        return honest(message) if message.metadata.message_type == "train" else None

    with pytest.raises(Refused, match="2 of 3 owners contributed to a evaluate round"):
        run(
            GovernedStrategy(FedAvg(**KNOBS), min_participants=3),
            [honest, honest, trains_only],
        )


def test_strategy_without_evaluation_needs_nobody_for_it() -> None:
    strategy = FedAvg(fraction_evaluate=0.0, min_evaluate_nodes=0, min_available_nodes=2)

    result, grid = run(GovernedStrategy(strategy, min_participants=3), [honest] * 3)

    assert result.arrays is not None
    assert {message.metadata.message_type for message in grid.sent} == {"train"}


def test_aggregate_is_named_with_its_round_and_input() -> None:
    claims, inputs = Kept(), []

    def noting(message):
        if message.metadata.message_type == "train":
            inputs.append(record_digest(message.content))
        return honest(message)

    wrapped = GovernedStrategy(FedAvg(**KNOBS), min_participants=2, claims=claims)

    result, _ = run(wrapped, [noting, honest, refuse("GRANT_REVOKED: it was.")])

    assert [claim.round for claim, _ in claims] == [1, 2]
    assert [(claim.expected, claim.sent) for claim, _ in claims] == [(2, 3), (2, 3)]
    assert digest_of(claims[-1][1]) == digest_of(result.arrays)
    assert claims[0][0].kind is MessageKind.TRAIN
    assert [claim.input for claim, _ in claims] == inputs


def test_messages_that_differ_are_not_named_as_one_round() -> None:
    class Personal(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            for number, message in enumerate(
                super().configure_train(server_round, arrays, config, grid)
            ):
                message.content = RecordDict(
                    {**message.content, "own": MetricRecord({"n": number})}
                )
                yield message

    claims = Kept()

    run(GovernedStrategy(Personal(**KNOBS), min_participants=2, claims=claims), [honest] * 3)

    assert claims == []


def test_strategy_that_overrides_start_is_refused() -> None:
    class Own(FedAvg):
        def start(self, *arguments, **options):
            return super().start(*arguments, **options)

    with pytest.raises(BadInputError, match=r"Own overrides Strategy\.start"):
        GovernedStrategy(Own(), min_participants=1)


def test_resumed_run_counts_on_from_the_rounds_that_are_done() -> None:
    seen, claims = [], Kept()

    class Watching(FedAvg):
        def configure_train(self, server_round, arrays, config, grid):
            seen.append(server_round)
            return super().configure_train(server_round, arrays, config, grid)

    central = []
    wrapped = GovernedStrategy(Watching(**KNOBS), min_participants=2, claims=claims, offset=3)

    run(wrapped, [honest] * 2, rounds=5, evaluate_fn=lambda number, _: central.append(number))

    assert seen == [4, 5]
    assert [claim.round for claim, _ in claims] == [4, 5]
    assert central == [3, 4, 5]


def test_knobs_of_the_wrapped_strategy_are_reachable() -> None:
    wrapped = GovernedStrategy(FedAvg(fraction_train=0.25), min_participants=1)

    assert wrapped.fraction_train == 0.25
    with pytest.raises(AttributeError):
        _ = wrapped.no_such_knob


def test_every_strategy_of_flwr_leaves_start_as_it_is() -> None:
    """What can't be wrapped would be refused: none of flwr's own is."""
    import inspect

    from flwr.serverapp import strategy as module

    found = [
        value
        for value in vars(module).values()
        if inspect.isclass(value) and issubclass(value, Strategy) and value is not Strategy
    ]
    assert QFedAvg in found and len(found) >= 15
    assert all(value.start is Strategy.start for value in found)
