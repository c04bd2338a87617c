"""EdgeComp in NumPy, on real rows and with real Flower messages."""

import importlib
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from clients.edgecomp_numpy import network, rows, scores
from clients.edgecomp_numpy.client_app import app
from datatoken.ddo.terms import violations
from examples.mvp2_wearables.data import People, load_people
from fl_edge.fab import bundle_folder, read_bundle, read_source
from strategies.fedaverage.layers import initial_arrays

FOLDER = Path(__file__).parents[2] / "clients" / "edgecomp_numpy"
SETTINGS: dict[str, Any] = {"learning_rate": 0.1, "batch_size": 32, "decay": 0.001, "seed": 0}


@pytest.fixture(autouse=True)
def _identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages are made inside a task; here the test is one."""
    for name in ("_task_id", "_run_id", "_node_id"):
        monkeypatch.setattr(TaskIdentity, name, 1)


@pytest.fixture(scope="module")
def people() -> People:
    return load_people("heart", 4)


def federated(people: People, rounds: int, epochs: int) -> list[Any]:
    """FedAvg in five lines, to hold the whole system against."""
    arrays: Sequence[Any] = initial_arrays(people.layers, 0)
    for _ in range(rounds):
        parts = []
        for user in people.users:
            mine, _ = rows.split(rows.Rows(user.x, user.y))
            parts.append(network.train(arrays, mine.x, mine.y, epochs=epochs, **SETTINGS))
        arrays = [np.mean(layer, axis=0) for layer in zip(*parts, strict=True)]
    return list(arrays)


def context(path: Path) -> Context:
    return Context(1, 2, {"data": str(path)}, RecordDict(), dict(read_source(FOLDER).config))


def ask(kind: str, arrays: Sequence[Any]) -> Message:
    content = RecordDict(
        {"arrays": ArrayRecord(list(arrays)), "config": ConfigRecord({"server-round": 1})}
    )
    return Message(content=content, dst_node_id=2, message_type=kind)


def test_five_rounds_on_four_users_reach_the_pooled_reference(people: People) -> None:
    arrays = federated(people, rounds=5, epochs=10)

    found = scores.auc(people.unseen_y, network.predict(arrays, people.unseen_x))

    assert found > 0.85  # pooled logistic regression on the same people: .867


@pytest.mark.parametrize("layers", ["19-1", "19-5-1", "19-6-4-1"])
def test_the_gradient_is_the_slope_of_the_loss(people: People, layers: str) -> None:
    user, decay = people.users[0], 0.01
    arrays: list[Any] = [a.astype(np.float64) for a in initial_arrays(layers, 3)]

    def loss(values: Sequence[Any]) -> float:
        penalty = sum(float((w**2).sum()) for w in values[::2]) * decay / 2
        logits = network.forward(values, user.x.astype(np.float64))[-1][:, 0]
        y = user.y.astype(np.float64)
        return float(np.mean(np.logaddexp(0, logits) - y * logits)) + penalty

    slopes = network.gradient(arrays, user.x.astype(np.float64), user.y, decay)

    for index, slope in enumerate(slopes):
        for place in list(np.ndindex(*slope.shape))[:7]:
            up, down = [a.copy() for a in arrays], [a.copy() for a in arrays]
            up[index][place] += 1e-4
            down[index][place] -= 1e-4
            assert slope[place] == pytest.approx((loss(up) - loss(down)) / 2e-4, abs=1e-5)


def test_the_proximal_term_pulls_towards_the_model_that_came(people: People) -> None:
    """The gradient of ``mu / 2 * |w - start| ** 2`` (Li et al., 2020), step by step."""
    user, first = people.users[0], initial_arrays("19-5-1", 3)
    settings = SETTINGS | {"batch_size": len(user.y)}

    found = network.train(first, user.x, user.y, epochs=3, proximal=0.7, **settings)

    expected: list[Any] = [a.astype(np.float64) for a in first]
    for _ in range(3):
        slopes = network.gradient(expected, user.x, user.y, settings["decay"])
        expected = [
            w - 0.1 * (slope + 0.7 * (w - start))
            for w, slope, start in zip(expected, slopes, first, strict=True)
        ]
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))


def test_equal_messages_get_equal_replies(people: People, tmp_path: Path) -> None:
    path = people.users[0].save(tmp_path / "rows.npz")
    arrays = initial_arrays(people.layers, 0)

    first, second = (app(ask("train", arrays), context(path)) for _ in range(2))

    trained = [m.content.array_records["arrays"].to_numpy_ndarrays() for m in (first, second)]
    assert all((a == b).all() for a, b in zip(*trained, strict=True))
    assert any((a != b).any() for a, b in zip(trained[0], arrays, strict=True))


def test_replies_hold_what_the_operation_declares_and_nothing_else(
    people: People, tmp_path: Path
) -> None:
    """Acceptance: 80."""
    path = people.users[0].save(tmp_path / "rows.npz")
    arrays = initial_arrays(people.layers, 0)
    source = read_source(FOLDER)

    train, evaluate = (app(ask(kind, arrays), context(path)) for kind in ("train", "evaluate"))

    shapes = [a.shape for a in train.content.array_records["arrays"].to_numpy_ndarrays()]
    assert shapes == [a.shape for a in arrays]
    assert not evaluate.content.array_records
    for reply in (train, evaluate):
        assert not reply.content.config_records
        assert set(reply.content.metric_records["metrics"]) <= set(source.replies.metrics or [])
    assert evaluate.content.metric_records["metrics"]["num-examples"] == len(people.users[0].y) // 4


def test_csv_and_npz_of_a_device_train_the_same_model(people: People, tmp_path: Path) -> None:
    user = people.users[0]
    npz, table = user.save(tmp_path / "rows.npz"), tmp_path / "rows.csv"
    values = np.hstack([user.x, user.y[:, None]])
    np.savetxt(table, values, delimiter=",", header="x,…,label", fmt="%.9g")
    arrays = initial_arrays(people.layers, 0)

    replies = [app(ask("train", arrays), context(path)) for path in (npz, table)]

    first, second = [m.content.array_records["arrays"].to_numpy_ndarrays() for m in replies]
    assert all(np.allclose(a, b, atol=1e-6) for a, b in zip(first, second, strict=True))


@pytest.mark.parametrize(
    ("x", "y", "what"),
    [
        (np.zeros((3, 2)), np.zeros(4), "shape"),
        (np.full((3, 2), np.nan), np.zeros(3), "finite"),
        (np.zeros((3, 2)), np.array([0, 1, 2]), "labels"),
        (np.zeros((0, 2)), np.zeros(0), "shape"),
    ],
)
def test_a_file_that_is_no_data_is_refused(tmp_path: Path, x: Any, y: Any, what: str) -> None:
    np.savez(tmp_path / "rows.npz", x=x, y=y)

    with pytest.raises(ValueError, match=what):
        rows.load({"data": str(tmp_path / "rows.npz")})


@pytest.mark.parametrize("client", ["edgecomp_numpy", "edgecomp_keras", "edgecomp_cnn"])
def test_rows_so_few_that_none_is_held_out_are_refused(client: str) -> None:
    """A model would be evaluated on the rows that it was trained on."""
    module = importlib.import_module(f"clients.{client}.rows")
    four = module.Rows(np.arange(4, dtype=np.float32)[:, None], np.zeros(4, np.float32))

    mine, held_out = module.split(four)

    assert (mine.x.ravel().tolist(), held_out.x.ravel().tolist()) == ([0, 1, 2], [3])
    with pytest.raises(ValueError, match="4 rows or more"):
        module.split(module.Rows(four.x[:3], four.y[:3]))


def test_a_pickle_in_a_data_file_is_not_run(tmp_path: Path) -> None:
    objects = np.array([{"any": "thing"}], dtype=object)
    np.savez(tmp_path / "rows.npz", x=objects, y=objects)

    with pytest.raises(ValueError, match="pickle"):
        rows.load({"data": str(tmp_path / "rows.npz")})


@pytest.mark.parametrize("layers", ["18-1", "19-2"])
def test_a_model_of_another_shape_is_refused(people: People, layers: str) -> None:
    user = people.users[0]

    with pytest.raises(ValueError, match="layer"):
        network.train(initial_arrays(layers, 0), user.x, user.y, epochs=1, **SETTINGS)


def test_auc_counts_pairs_in_order_and_ties_by_half() -> None:
    y, p = np.array([0, 0, 1, 1]), np.array([0.1, 0.4, 0.4, 0.8])

    assert scores.auc(y, p) == pytest.approx(3.5 / 4)
    assert scores.auc(np.ones(4), p) == 0.5


def test_the_bundle_is_sound_and_its_defaults_fit_its_schema() -> None:
    """Acceptance: 67."""
    source = read_source(FOLDER)

    bundle = read_bundle(bundle_folder(FOLDER))

    assert bundle.manifest.package == "edgecomp_numpy"
    assert not violations(source.parameters, source.config, closed=True)
    assert {name: spec.default for name, spec in source.parameters.items()} == source.config


def test_a_small_device_loads_nothing_but_flower_and_numpy() -> None:
    code = (
        "import sys, flwr.app, flwr.clientapp, numpy; before = set(sys.modules);"
        "import clients.edgecomp_numpy.client_app;"
        "print(*sorted({m.partition('.')[0] for m in set(sys.modules) - before}))"
    )

    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=FOLDER.parents[1],
    )

    assert done.stdout.split() == ["clients"]
