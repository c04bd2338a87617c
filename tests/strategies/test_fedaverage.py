"""FedAverage: its first arrays, its bundle, and the FAB that it makes with an EdgeComp."""

from pathlib import Path

import numpy as np
import pytest

from datatoken.ddo.terms import violations
from fl_edge.fab import build_fab, bundle_folder, effective_config, read_fab, read_source
from strategies.fedaverage.layers import initial_arrays

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "strategies" / "fedaverage"


def test_one_layer_starts_at_zero_and_hidden_layers_do_not() -> None:
    shapes = [a.shape for a in initial_arrays("20-8-1", 0)]

    assert shapes == [(20, 8), (8,), (8, 1), (1,)]
    assert not any(a.any() for a in initial_arrays("20-1", 0))
    assert np.abs(initial_arrays("20-8-1", 0)[0]).max() <= np.sqrt(6 / 28)


def test_equal_seeds_give_equal_arrays() -> None:
    one, same, other = (initial_arrays("20-8-1", seed)[0] for seed in (1, 1, 2))

    assert (one == same).all()
    assert (one != other).any()


@pytest.mark.parametrize(
    "layers", ["", "20", "20-0-1", "20--1", "a-b", "20-99999-1", "1-" * 9 + "1"]
)
def test_layers_that_are_none_are_refused(layers: str) -> None:
    with pytest.raises(ValueError, match="layers must be"):
        initial_arrays(layers, 0)


def test_the_bundles_defaults_fit_its_schema() -> None:
    source = read_source(FOLDER)

    assert not violations(source.parameters, source.config, closed=True)
    assert {name: spec.default for name, spec in source.parameters.items()} == source.config


@pytest.mark.parametrize("client", ["edgecomp_numpy", "edgecomp_keras"])
def test_fedaverage_and_either_edgecomp_make_one_fab(client: str) -> None:
    """Acceptance: 67, 103."""
    halves = [bundle_folder(folder) for folder in (ROOT / "clients" / client, FOLDER)]

    fab = build_fab(*halves)

    assert fab == build_fab(*halves)
    assert {f"{client}/client_app.py", "fedaverage/server_app.py"} <= set(read_fab(fab))
    assert effective_config(fab, {"layers": "19-1"})["layers"] == "19-1"
