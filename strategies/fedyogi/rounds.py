"""What the shipped strategies share: whom a round asks, the first arrays, the rounds."""

from collections.abc import Mapping
from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy

from .layers import initial_arrays

Config = Mapping[str, bool | int | float | str]


def sampling(config: Config) -> dict[str, Any]:
    """Return the arguments of flwr's strategies that say whom a round asks."""
    minimum = int(config["min-nodes"])
    return {
        "fraction_train": float(config["fraction-train"]),
        "fraction_evaluate": float(config["fraction-evaluate"]),
        "min_train_nodes": minimum,
        "min_evaluate_nodes": minimum,
        "min_available_nodes": minimum,
    }


def run(strategy: Strategy, grid: Grid, config: Config) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(
            initial_arrays(str(config["layers"]), int(config["initial-seed"]))
        ),
        num_rounds=int(config["num-server-rounds"]),
        timeout=float(config["round-timeout"]),
    )
