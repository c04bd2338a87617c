"""EdgeComp for series: the network's gradient, and real ECG beats with real Flower messages."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from clients.edgecomp_cnn import network, rows
from clients.edgecomp_cnn.client_app import app
from datatoken.ddo.terms import violations
from datatoken.errors import BadInputError
from examples.mvp2_wearables.data import find_ecg
from fl_edge.fab import bundle_folder, read_bundle, read_source
from strategies.fedaverage.layers import initial_arrays

FOLDER = Path(__file__).parents[2] / "clients" / "edgecomp_cnn"
LAYERS = "73-8k9-16k7-1"


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are made inside a task; here the test is one."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture(scope="module")
def person() -> rows.Rows:
    """All normal and ventricular beats of one real person, in an order without blocks."""
    try:
        path = find_ecg()
    except BadInputError as error:
        pytest.skip(error.message)
    with np.load(path, allow_pickle=False) as file:
        kept = (file["user"] == "223") & np.isin(file["label"], ("N", "V"))
        x, y = file["beat"][kept].astype(np.float32), file["label"][kept] == "V"
    order = np.random.default_rng(0).permutation(len(y))
    return rows.Rows(x[order], y[order].astype(np.float32))


def ask(kind: str, arrays: Sequence[Any], **config: Any) -> Message:
    said = ConfigRecord({"server-round": 1, **config})
    content = RecordDict({"arrays": ArrayRecord(list(arrays)), "config": said})
    return Message(content=content, dst_node_id=2, message_type=kind)


def context(path: Path, **overrides: Any) -> Context:
    config = {**read_source(FOLDER).config, **overrides}
    return Context(1, 2, {"data": str(path)}, RecordDict(), config)


@pytest.mark.parametrize("layers", ["20-3k5-1", "20-3k5-4k3-1", "20-2k4-3k2-5-1"])
def test_the_gradient_is_the_slope_of_the_loss(layers: str) -> None:
    random, decay = np.random.default_rng(1), 0.01
    x: Any = random.normal(size=(9, 20))
    y: Any = np.array([0, 1, 0, 1, 1, 0, 0, 1, 1.0])
    arrays: list[Any] = [a.astype(np.float64) for a in initial_arrays(layers, 3)]
    for biases in arrays[1::2]:
        biases += random.normal(size=biases.shape) / 10

    def loss(values: Sequence[Any]) -> float:
        penalty = sum(float((w**2).sum()) for w in values[::2]) * decay / 2
        logits = network.forward(values, x)[-1][:, 0]
        return float(np.mean(np.logaddexp(0, logits) - y * logits)) + penalty

    slopes = network.gradient(arrays, x, y, decay)

    for index, slope in enumerate(slopes):
        for place in np.ndindex(*slope.shape):
            up, down = [a.copy() for a in arrays], [a.copy() for a in arrays]
            up[index][place] += 1e-5
            down[index][place] -= 1e-5
            assert slope[place] == pytest.approx((loss(up) - loss(down)) / 2e-5, abs=2e-6)


def test_a_convolution_is_the_sum_over_its_window_in_steps_of_two() -> None:
    random = np.random.default_rng(2)
    x, w, b = random.normal(size=(3, 11)), random.normal(size=(4, 1, 2)), random.normal(size=2)
    dense, bias = random.normal(size=(2, 1)), random.normal(size=1)

    found = network.forward([w, b, dense, bias], x)[-1]

    for row, value in zip(x, found, strict=True):
        places = [
            [np.dot(row[s : s + 4], w[:, 0, f]) + b[f] for f in range(2)] for s in (0, 2, 4, 6)
        ]
        assert value == pytest.approx(np.maximum(places, 0).mean(axis=0) @ dense + bias, abs=1e-5)


def test_gain_offset_and_polarity_of_an_electrode_say_nothing(person: rows.Rows) -> None:
    found = network.normalise(person.x)

    assert np.allclose(found, network.normalise(-3 * person.x + 100), atol=1e-4)
    assert found.max() == 1
    assert np.isfinite(network.normalise(np.zeros((2, 73), np.float32))).all()


def test_a_persons_beats_are_told_apart(person: rows.Rows, tmp_path: Path) -> None:
    """Acceptance: 98."""
    np.savez(tmp_path / "rows.npz", x=person.x, y=person.y)
    first = initial_arrays(LAYERS, 0)
    where = context(tmp_path / "rows.npz", **{"local-epochs": 20})

    trained = app(ask("train", first), where).content.array_records["arrays"].to_numpy_ndarrays()
    seen = [
        app(ask("evaluate", arrays), where).content.metric_records["metrics"]
        for arrays in (first, trained)
    ]

    assert seen[1]["loss"] < seen[0]["loss"]
    assert seen[1]["auc"] > 0.9


def test_replies_hold_what_the_operation_declares_and_nothing_else(
    person: rows.Rows, tmp_path: Path
) -> None:
    """Acceptance: 80."""
    np.savez(tmp_path / "rows.npz", x=person.x, y=person.y)
    arrays, source = initial_arrays(LAYERS, 0), read_source(FOLDER)
    where = context(tmp_path / "rows.npz")

    train, again, evaluate = (
        app(ask(kind, arrays), where) for kind in ("train", "train", "evaluate")
    )

    found, same = (m.content.array_records["arrays"].to_numpy_ndarrays() for m in (train, again))
    assert [(a.dtype, a.shape) for a in found] == [(a.dtype, a.shape) for a in arrays]
    assert all((a == b).all() for a, b in zip(found, same, strict=True))
    assert not evaluate.content.array_records
    for reply in (train, evaluate):
        assert not reply.content.config_records
        assert set(reply.content.metric_records["metrics"]) <= set(source.replies.metrics or [])
    assert evaluate.content.metric_records["metrics"]["num-examples"] == len(person) // 4


def test_fedprox_keeps_the_model_closer_to_the_one_that_came(
    person: rows.Rows, tmp_path: Path
) -> None:
    np.savez(tmp_path / "rows.npz", x=person.x, y=person.y)
    first, where = initial_arrays(LAYERS, 0), context(tmp_path / "rows.npz")

    replies = [app(ask("train", first, **{"proximal-mu": mu}), where) for mu in (0.0, 1.0)]

    free, held = (
        sum(
            float(((a - b) ** 2).sum())
            for a, b in zip(
                reply.content.array_records["arrays"].to_numpy_ndarrays(), first, strict=True
            )
        )
        for reply in replies
    )
    assert 0 < held < free


@pytest.mark.parametrize("layers", ["73-1", "73-8-1", "73-8k9-2", "73-8k80-1", "73-8k70-8k9-1"])
def test_a_model_of_another_shape_is_refused(layers: str) -> None:
    x, y = np.zeros((8, 73), np.float32), np.zeros(8, np.float32)

    with pytest.raises(ValueError, match=r"layer|filter"):
        network.train(
            initial_arrays(layers, 0),
            x,
            y,
            epochs=1,
            learning_rate=0.1,
            batch_size=8,
            decay=0.0,
            seed=0,
        )


def test_shapes_that_do_not_follow_each_other_are_refused() -> None:
    one, other = (initial_arrays(layers, 0) for layers in (LAYERS, "73-8k9-12k7-1"))

    with pytest.raises(ValueError, match="does not follow"):
        network.check_shapes([*one[:4], *other[4:]], 73)
    with pytest.raises(ValueError, match="in turn"):
        network.check_shapes(one[:-1], 73)


def test_the_bundle_is_sound_and_its_defaults_fit_its_schema() -> None:
    """Acceptance: 98."""
    source = read_source(FOLDER)

    bundle = read_bundle(bundle_folder(FOLDER))

    assert bundle.manifest.package == "edgecomp_cnn"
    assert not violations(source.parameters, source.config, closed=True)
    assert {name: spec.default for name, spec in source.parameters.items()} == source.config
