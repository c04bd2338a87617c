"""EdgeComp in TensorFlow/Keras: the same model as the light one."""

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clients.edgecomp_numpy import network as light
from clients.edgecomp_numpy import scores
from datatoken.ddo.terms import violations
from examples.mvp2_wearables.data import load_people
from fl_edge.fab import bundle_folder, read_bundle, read_source
from strategies.fedaverage.layers import initial_arrays

CLIENTS = Path(__file__).parents[2] / "clients"
BUNDLES = ("edgecomp_numpy", "edgecomp_keras", "edgecomp_cnn")
SETTINGS: dict[str, Any] = {
    "epochs": 10,
    "learning_rate": 0.1,
    "batch_size": 32,
    "decay": 0.001,
    "seed": 0,
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("layers", ["19-1", "19-8-1"])
def test_keras_and_numpy_train_to_the_same_quality(layers: str) -> None:
    heavy = importlib.import_module("clients.edgecomp_keras.network")
    people = load_people("heart", 4)
    user, arrays = people.users[0], initial_arrays(layers, 0)

    trained = heavy.train(arrays, user.x, user.y, **SETTINGS)
    reference = light.train(arrays, user.x, user.y, **SETTINGS)

    assert [a.shape for a in trained] == [a.shape for a in arrays]
    assert np.allclose(
        heavy.predict(trained, people.unseen_x), light.predict(trained, people.unseen_x), atol=1e-5
    )
    found, expected = (
        scores.auc(people.unseen_y, light.predict(a, people.unseen_x)) for a in (trained, reference)
    )
    assert found == pytest.approx(expected, abs=0.02)


@pytest.mark.tensorflow
def test_fedprox_term_is_the_same_in_keras_and_numpy() -> None:
    heavy = importlib.import_module("clients.edgecomp_keras.network")
    user, arrays = load_people("heart", 4).users[0], initial_arrays("19-8-1", 0)
    whole = SETTINGS | {"batch_size": len(user.y), "epochs": 5, "proximal": 1.0}

    found, expected = (which.train(arrays, user.x, user.y, **whole) for which in (heavy, light))

    free = light.train(arrays, user.x, user.y, **(whole | {"proximal": 0.0}))
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(found, expected, strict=True))
    assert not all(np.allclose(a, b, atol=1e-3) for a, b in zip(free, expected, strict=True))


@pytest.mark.tensorflow
def test_a_model_of_another_shape_is_refused() -> None:
    heavy = importlib.import_module("clients.edgecomp_keras.network")

    with pytest.raises(ValueError, match="18 inputs"):
        heavy.build(initial_arrays("19-1", 0), 18)


@pytest.mark.parametrize("name", ["rows.py", "scores.py"])
def test_what_both_bundles_carry_is_the_same(name: str) -> None:
    copies = {(CLIENTS / bundle / name).read_bytes() for bundle in BUNDLES}

    assert len(copies) == 1


def test_the_bundle_is_sound_and_its_schema_is_the_light_ones() -> None:
    source, other = (read_source(CLIENTS / n) for n in ("edgecomp_keras", "edgecomp_numpy"))

    bundle = read_bundle(bundle_folder(CLIENTS / "edgecomp_keras"))

    assert bundle.manifest.package == "edgecomp_keras"
    assert not violations(source.parameters, source.config, closed=True)
    assert (source.parameters, source.replies, source.records) == (
        other.parameters,
        other.replies,
        other.records,
    )
