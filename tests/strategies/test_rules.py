"""The rule of each shipped strategy against the same rule in a few lines of NumPy."""

import math
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord

from fl_edge.strategy import GovernedStrategy
from strategies.fedaverage_dp.privacy import PrivateFedAvg, epsilon
from tests.fl_edge.strategy.grid import MemoryGrid, Node, refuse
from tests.strategies.parts import fixed, moved, start, strategy_of

RANDOM = np.random.default_rng(20261123)
FIRST = [RANDOM.normal(size=(4, 3)).astype(np.float32), np.zeros(3, np.float32)]
SAMPLING = {"min_train_nodes": 2, "min_evaluate_nodes": 2, "min_available_nodes": 2}


def steps(devices: int, scale: float = 0.1) -> list[list[Any]]:
    """Return one update for each device."""
    random = np.random.default_rng(devices)
    return [[scale * random.normal(size=a.shape) for a in FIRST] for _ in range(devices)]


def close(found: list[Any], expected: list[Any], tolerance: float = 1e-5) -> bool:
    return all(
        np.allclose(a, b, rtol=tolerance, atol=tolerance)
        for a, b in zip(found, expected, strict=True)
    )


# --- FedProx


def test_fedprox_averages_by_rows_and_sends_its_term() -> None:
    updates, rows, said = steps(3), [10, 20, 70], []

    def noting(message: Any) -> Any:
        said.append(dict(message.content.config_records["config"]))
        return moved(*updates[0], rows=rows[0])(message)

    nodes = [noting, *(moved(*u, rows=n) for u, n in zip(updates[1:], rows[1:], strict=True))]

    found = start(strategy_of("fedprox", proximal_mu=0.5), nodes, FIRST)

    weights = np.array(rows) / sum(rows)
    expected = [
        a + sum(w * u[i] for w, u in zip(weights, updates, strict=True))
        for i, a in enumerate(FIRST)
    ]
    assert close(found, expected)
    assert said[0]["proximal-mu"] == 0.5


# --- FedAdam, FedYogi


@pytest.mark.parametrize("name", ["fedadam", "fedyogi"])
def test_adaptive_rules_are_the_published_ones(name: str) -> None:
    """Reddi et al. (2021), algorithm 2; Adam's step with the usual correction of its start."""
    eta, b1, b2, tau, rounds = 0.3, 0.8, 0.95, 0.01, 4
    updates = steps(3)
    strategy = strategy_of(name, server_learning_rate=eta, beta_1=b1, beta_2=b2, tau=tau)

    found = start(strategy, [moved(*update) for update in updates], FIRST, rounds)

    expected = []
    for i, first in enumerate(FIRST):
        x = first.astype(np.float64)
        m, v = np.zeros_like(x), np.zeros_like(x)
        delta = np.mean([update[i] for update in updates], axis=0)
        for number in range(1, rounds + 1):
            m = b1 * m + (1 - b1) * delta
            if name == "fedadam":
                v = b2 * v + (1 - b2) * delta**2
                step = eta * np.sqrt(1 - b2 ** (number + 1)) / (1 - b1 ** (number + 1))
            else:
                v = v - (1 - b2) * delta**2 * np.sign(v - delta**2)
                step = eta
            x = x + step * m / (np.sqrt(v) + tau)
        expected.append(x)
    assert close(found, expected, 1e-4)


# --- Krum, trimmed mean


@pytest.mark.parametrize("malicious", [0, 1, 2])
def test_krum_takes_the_model_with_the_closest_neighbours(malicious: int) -> None:
    devices = 2 * malicious + 4  # with 3 there are ties
    models = [[a + u for a, u in zip(FIRST, s, strict=True)] for s in steps(devices, 1.0)]
    strategy = strategy_of("krum", num_malicious_nodes=malicious, min_nodes=devices)

    found = start(strategy, [fixed(*model) for model in models], FIRST)

    flat = [np.concatenate([layer.ravel() for layer in model]) for model in models]
    closest = max(1, devices - malicious - 2)
    sums = [
        sum(sorted(float(np.sum((one - other) ** 2)) for other in flat)[1 : closest + 1])
        for one in flat
    ]
    assert close(found, models[int(np.argmin(sums))], 1e-6)


def test_krum_does_not_take_one_of_two_colluding_outliers() -> None:
    honest = [[a + u for a, u in zip(FIRST, s, strict=True)] for s in steps(5)]
    liars = [fixed(*(a + 5 for a in FIRST), rows=10**6)] * 2
    strategy = strategy_of("krum", num_malicious_nodes=2, min_nodes=7)

    found = start(strategy, [*(fixed(*model) for model in honest), *liars], FIRST)

    assert any(close(found, model, 1e-6) for model in honest)


def test_krum_says_so_when_it_promises_nothing() -> None:
    with pytest.raises(ValueError, match="among 7 or more, not among 6"):
        strategy_of("krum", num_malicious_nodes=2, min_nodes=6)


@pytest.mark.parametrize(("name", "what"), [("krum", "not among 4"), ("trimmed_mean", "nobody")])
def test_robust_rule_ends_the_run_where_too_few_answer(name: str, what: str) -> None:
    nodes: list[Node] = [*(moved(*u) for u in steps(4)), refuse("GRANT_REVOKED: it was.")]

    with pytest.raises(ValueError, match=what):
        start(strategy_of(name, min_nodes=5), nodes, FIRST)


def test_trimmed_mean_cuts_off_each_numbers_extremes_and_weighs_all_alike() -> None:
    updates = steps(10)
    nodes = [moved(*update, rows=10 ** (i % 6)) for i, update in enumerate(updates)]

    found = start(strategy_of("trimmed_mean", beta=0.2, min_nodes=10), nodes, FIRST)

    expected = [
        a + np.sort([update[i] for update in updates], axis=0)[2:-2].mean(axis=0)
        for i, a in enumerate(FIRST)
    ]
    assert close(found, expected)


def test_trimmed_mean_that_cuts_nobody_off_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.1 of 9 devices"):
        strategy_of("trimmed_mean", beta=0.1, min_nodes=9)


# --- differential privacy


def private(noise: float, clip: float = 1.0) -> PrivateFedAvg:
    return PrivateFedAvg(noise, clip, 1e-5, fraction_evaluate=0.0, **SAMPLING)


def clipped(update: list[Any], clip: float) -> list[Any]:
    length = math.sqrt(sum(float(np.sum(layer**2)) for layer in update))
    return [layer * min(1.0, clip / length) for layer in update]


def test_every_update_is_clipped_and_weighs_the_same() -> None:
    """A device that claims a million rows, or sends a huge update, moves the model no further."""
    updates, clip = [*steps(4), [1e4 * layer for layer in steps(5)[0]]], 0.3
    nodes = [moved(*update, rows=10**i) for i, update in enumerate(updates)]

    found = start(private(1e-9, clip), nodes, FIRST)

    expected = [
        a + np.mean([clipped(update, clip)[i] for update in updates], axis=0)
        for i, a in enumerate(FIRST)
    ]
    assert close(found, expected)


@pytest.mark.parametrize(("noise", "clip", "devices"), [(1.0, 1.0, 4), (0.5, 3.0, 4), (2.0, 1, 8)])
def test_noise_has_the_deviation_that_the_mechanism_asks_for(
    noise: float, clip: float, devices: int
) -> None:
    size = 20_000
    nodes = [moved(np.zeros(size))] * devices

    found = start(private(noise, clip), nodes, [np.zeros(size)])[0]

    expected = noise * clip / devices
    error = expected / math.sqrt(2 * size)
    assert abs(found.std() - expected) < 5 * error
    assert abs(found.mean()) < 5 * expected / math.sqrt(size)
    within = np.mean(np.abs(found) < expected)  # a normal distribution, not another of its width
    assert abs(within - math.erf(1 / math.sqrt(2))) < 0.02


def test_noise_is_for_the_devices_that_answered_not_for_those_that_were_asked() -> None:
    size = 20_000
    nodes = [*[moved(np.zeros(size))] * 2, *[refuse("GRANT_REVOKED: it was.")] * 6]

    found = start(private(1.0), nodes, [np.zeros(size)])[0]

    assert abs(found.std() - 1 / 2) < 5 * (1 / 2) / math.sqrt(2 * size)


def test_noise_can_not_be_had_again() -> None:
    one, other = (start(private(1.0), [moved(np.zeros(50))] * 2, [np.zeros(50)])[0] for _ in "ab")

    assert (one != other).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, 3e38])
def test_device_that_sends_no_numbers_is_left_out_and_the_noise_is_for_the_rest(bad: float) -> None:
    size = 20_000
    nodes = [*[moved(np.full(size, 1e-3))] * 3, fixed(np.full(size, bad))]

    found = start(private(1.0, 0.5), nodes, [np.zeros(size)])[0]

    assert np.isfinite(found).all()
    assert abs(found.std() - 0.5 / 3) < 5 * (0.5 / 3) / math.sqrt(2 * size)


def test_device_that_sends_another_shape_is_left_out() -> None:
    nodes = [*(moved(*u) for u in steps(3)), fixed(np.ones((40, 3)), np.ones(3))]

    assert [a.shape for a in start(private(1e-9), nodes, FIRST)] == [a.shape for a in FIRST]


def test_devices_that_send_the_model_back_do_not_end_the_run() -> None:
    nodes = [moved(*(np.zeros_like(a) for a in FIRST))] * 3

    assert close(start(private(1e-9), nodes, FIRST), FIRST)


def test_metrics_of_training_are_not_given_out() -> None:
    governed = GovernedStrategy(private(1.0), min_participants=2)

    result = governed.start(
        MemoryGrid([moved(*u) for u in steps(3)]), ArrayRecord(list(FIRST)), 1, 1
    )

    assert not any(result.train_metrics_clientapp.values())


@pytest.mark.parametrize("rounds", [1, 10, 100])
@pytest.mark.parametrize("noise", [0.5, 1.0, 5.0])
def test_epsilon_is_never_below_the_exact_one(rounds: int, noise: float) -> None:
    """Balle and Wang (2018) give the exact delta of Gaussian noise at an epsilon."""
    delta, mu = 1e-5, math.sqrt(rounds) / noise

    def normal(z: float) -> float:
        return math.erfc(-z / math.sqrt(2)) / 2

    def exact(value: float) -> float:
        tail = normal(-value / mu - mu / 2)
        return normal(-value / mu + mu / 2) - (math.exp(value) * tail if tail else 0.0)

    found = epsilon(rounds, noise, delta)

    assert exact(found) <= delta
    assert exact(0.5 * found) > delta  # nor is it so cautious as to say nothing
