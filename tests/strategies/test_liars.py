"""One device, or as many as a rule withstands, that sends what it likes: the run goes on."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from flwr.app import Array, ArrayRecord, Message, MetricRecord, RecordDict

from tests.fl_edge.strategy.grid import Node
from tests.strategies.parts import fixed, start, strategy_of
from tests.strategies.test_rules import FIRST, close, steps

HONEST = [[a + u for a, u in zip(FIRST, s, strict=True)] for s in steps(5)]
SETTINGS: dict[str, dict[str, Any]] = {
    "krum": {"num_malicious_nodes": 1, "min_nodes": 5},
    "trimmed_mean": {"beta": 0.2, "min_nodes": 5},
    "fedaverage_dp": {"noise_multiplier": 0.01, "min_nodes": 5, "fraction_evaluate": 1.0},
}
Change = Callable[[RecordDict], None]


def lying(change: Change, kind: str = "train") -> Node:
    """Return a node whose replies of one kind are honest but for a change."""
    honest = fixed(*HONEST[0])

    def node(message: Message) -> Message:
        reply = honest(message)
        assert reply is not None
        if message.metadata.message_type == kind:
            change(reply.content)
        return reply

    return node


def arrays(*made: Array) -> Change:
    """Return the change to other arrays, under the names that they have."""

    def change(content: RecordDict) -> None:
        content["arrays"] = ArrayRecord({str(i): array for i, array in enumerate(made)})

    return change


def metrics(**values: Any) -> Change:
    """Return the change to other metrics; `rows` stands for num-examples."""

    def change(content: RecordDict) -> None:
        named = {name.replace("rows", "num-examples"): value for name, value in values.items()}
        content["metrics"] = MetricRecord(named)

    return change


def renamed(old: str, new: str) -> Change:
    """Return the change of a record's name."""

    def change(content: RecordDict) -> None:
        content[new] = content.pop(old)

    return change


def more(name: str, record: Any) -> Change:
    """Return the change to one record more."""

    def change(content: RecordDict) -> None:
        content[name] = record

    return change


def without(name: str) -> Change:
    """Return the change to one record less."""

    def change(content: RecordDict) -> None:
        content.pop(name)

    return change


def raw(data: bytes) -> Array:
    """Return an array of the right type and shape whose bytes are others."""
    return Array(dtype="float32", shape=FIRST[0].shape, stype="numpy.ndarray", data=data)


W, B = (np.asarray(a, np.float32) for a in HONEST[0])
HUGE = (
    b"\x93NUMPY\x01\x00v\x00{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999,), }"
)
METRICS: dict[str, Change] = {
    "more metrics": metrics(rows=10, loss=1.0, row7=1961),
    "fewer metrics": metrics(rows=10),
    "a list for a number": metrics(rows=10, loss=[1.0, 2.0]),
    "no rows": metrics(loss=1.0),
    "zero rows": metrics(rows=0, loss=1.0),
    "fewer than no rows": metrics(rows=-40, loss=1.0),
    "rows that are no number": metrics(rows=float("nan"), loss=1.0),
    "rows without end": metrics(rows=float("inf"), loss=1.0),
    "a list of rows": metrics(rows=[10], loss=1.0),
    "another name for the metrics": renamed("metrics", "m"),
    "metrics twice": more("m", MetricRecord({"num-examples": 10, "loss": 1.0})),
    "no metrics": without("metrics"),
}
TRAINED: dict[str, Change] = {
    **METRICS,
    "another shape": arrays(Array(W.T.copy()), Array(B)),
    "shapes that broadcast": arrays(Array(W[:1]), Array(B)),
    "another type": arrays(Array(W.astype(np.complex64)), Array(B)),
    "twice the size": arrays(Array(W.astype(np.float64)), Array(B)),
    "an array more": arrays(Array(W), Array(B), Array(B)),
    "an array less": arrays(Array(W)),
    "bytes that are no array": arrays(raw(b"no array"), Array(B)),
    "an array of terabytes": arrays(raw(HUGE), Array(B)),
    "another name for the arrays": renamed("arrays", "a"),
    "arrays twice": more("a", ArrayRecord([W, B])),
    "no arrays": without("arrays"),
}


@pytest.mark.parametrize("place", [0, 4], ids=["first", "last"])
@pytest.mark.parametrize("what", TRAINED)
@pytest.mark.parametrize("name", SETTINGS)
def test_one_device_can_not_end_the_run(name: str, what: str, place: int) -> None:
    """Five devices of which one lies: as few, and as many, as the rules withstand."""
    nodes: list[Node] = [fixed(*model) for model in HONEST[1:]]
    nodes.insert(place, lying(TRAINED[what]))

    found = start(strategy_of(name, **SETTINGS[name]), nodes, FIRST)

    average = [np.mean(layer, axis=0) for layer in zip(*HONEST, strict=True)]
    assert [(a.shape, a.dtype) for a in found] == [(a.shape, np.float32) for a in FIRST]
    assert close(found, average, 0.5)


@pytest.mark.parametrize("what", METRICS)
@pytest.mark.parametrize("name", SETTINGS)
def test_one_device_can_not_end_the_run_by_its_evaluation(name: str, what: str) -> None:
    nodes: list[Node] = [lying(METRICS[what], "evaluate"), *(fixed(*m) for m in HONEST[1:])]

    start(strategy_of(name, **SETTINGS[name]), nodes, FIRST)


@pytest.mark.parametrize("name", ["krum", "trimmed_mean"])
def test_more_liars_than_foreseen_are_not_counted_out(name: str) -> None:
    nodes: list[Node] = [*[lying(TRAINED["no arrays"])] * 2, *(fixed(*m) for m in HONEST[2:])]

    with pytest.raises(ValueError, match=r"not among 3|of 3 devices"):
        start(strategy_of(name, **SETTINGS[name]), nodes, FIRST)


# --- Krum's distances


def overflowing() -> list[Any]:
    """Return a model whose distance to itself, in flwr's single precision, is -inf."""
    random = np.random.default_rng(1)
    edge = np.sqrt(np.finfo(np.float32).max / 2)
    with np.errstate(all="ignore"):
        for _ in range(20_000):
            v = random.normal(size=15)
            one = (v / np.linalg.norm(v) * edge * (1 - random.uniform(-2e-7, 3e-7))).astype("f")
            two = np.stack([one, one])
            norms = np.square(two).sum(axis=1)
            if (norms[:, None] + norms[None, :] - 2 * two @ two.T)[0, 1] == -np.inf:
                return [one[:12].reshape(4, 3), one[12:]]
    raise AssertionError("no such model")


@pytest.mark.parametrize("size", [None, np.nan, np.inf, 1e19, 3e38, -3e38])
def test_two_colluders_whose_distance_overflows_do_not_win_krum(size: float | None) -> None:
    """Acceptance: 98."""
    liar = overflowing() if size is None else [np.full_like(a, size) for a in FIRST]
    strategy = strategy_of("krum", num_malicious_nodes=2, min_nodes=7)

    found = start(strategy, [fixed(*model) for model in (*HONEST, liar, liar)], FIRST)

    assert any(close(found, model, 1e-6) for model in HONEST)
