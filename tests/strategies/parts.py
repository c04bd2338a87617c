"""Shipped server operations in process: their own ServerApps, governed, and real devices."""

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import Strategy

from clients.edgecomp_numpy import network, scores
from datatoken.types import Scalar, sha256_hex
from examples.mvp2_wearables.data import People, User
from fl_edge.fab import read_source
from fl_edge.strategy import GovernedStrategy, RunTerms, Spool
from fl_edge.strategy.spool import arrays_from_npz
from fl_edge.superlink import serverapp
from tests.fl_edge.strategy.grid import RUN, MemoryGrid, Node

ROOT = Path(__file__).parents[2]
NAMES = ("fedprox", "fedadam", "fedyogi", "krum", "trimmed_mean", "fedaverage_dp")
Arrays = list[Any]


def defaults(name: str) -> dict[str, Scalar]:
    """Return the run configuration that a shipped operation has by itself."""
    kind = "clients" if name.startswith("edgecomp") else "strategies"
    return dict(read_source(ROOT / kind / name).config)


def strategy_of(name: str, **overrides: Any) -> Any:
    """Return the strategy that a run would have; in keywords `_` stands for `-`."""
    module = importlib.import_module(f"strategies.{name}.server_app")
    return module.strategy({**defaults(name), **hyphens(overrides)})


def hyphens(overrides: Mapping[str, Any]) -> dict[str, Any]:
    """Return keywords as the names of parameters."""
    return {key.replace("_", "-"): value for key, value in overrides.items()}


def device(user: User, folder: Path, client: str = "edgecomp_numpy", **overrides: Any) -> Node:
    """Return a node that answers by a shipped client operation on one user's rows."""
    app = importlib.import_module(f"clients.{client}.client_app").app
    data = {"data": str(user.save(folder / f"{user.name}.npz"))}
    config = {**defaults(client), **hyphens(overrides)}

    def node(message: Message) -> Message:
        reply: Message = app(message, Context(RUN, 1, data, RecordDict(), config))
        return reply

    return node


def fixed(*arrays: Any, rows: int = 10) -> Node:
    """Return a node that answers with these arrays, whatever it is asked."""

    def node(message: Message) -> Message:
        content = RecordDict({"metrics": MetricRecord({"num-examples": rows, "loss": 1.0})})
        if message.metadata.message_type == "train":
            content["arrays"] = ArrayRecord([np.asarray(array, np.float32) for array in arrays])
        return Message(content=content, reply_to=message)

    return node


def moved(*steps: Any, rows: int = 10) -> Node:
    """Return a node that moves the arrays that arrive by these steps."""

    def node(message: Message) -> Message:
        sent = message.content.array_records["arrays"].to_numpy_ndarrays()
        new = [
            array + np.asarray(step, np.float32) for array, step in zip(sent, steps, strict=True)
        ]
        return fixed(*new, rows=rows)(message)

    return node


def poisoned(honest: Node, factor: float) -> Node:
    """Return a node that sends its model turned round and `factor` times as large."""

    def node(message: Message) -> Message:
        reply = honest(message)
        if message.metadata.message_type == "train":
            arrays = reply.content.array_records["arrays"].to_numpy_ndarrays()
            reply.content["arrays"] = ArrayRecord([np.float32(-factor) * a for a in arrays])
        return reply

    return node


class Governed:
    """Runs a shipped operation's own ServerApp as the SuperLink's process does.

    Parameters
    ----------
    folder : Path
    monkeypatch : pytest.MonkeyPatch
        flwr is as it was after the test.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Strategy, "start", Strategy.start)
        monkeypatch.setattr(GovernedStrategy, "start", GovernedStrategy.start)
        self.folder, self._runs = folder, 0
        self.grid = MemoryGrid([])
        serverapp.install(lambda run: self.spool(run))

    def spool(self, run: int) -> Spool:
        """Return the folder of the present run."""
        return Spool(self.folder / f"spool-{self._runs}", run)

    def run(
        self, name: str, nodes: list[Node], minimum: int = 2, **overrides: Any
    ) -> list[ArrayRecord]:
        """Return the aggregate that each round has claimed."""
        self._runs += 1
        spool = self.spool(RUN)
        spool.put_terms(RunTerms(job=sha256_hex(b"job"), minimum=minimum))
        app = importlib.import_module(f"strategies.{name}.server_app").app
        config = {**defaults(name), **hyphens(overrides)}
        self.grid = MemoryGrid(nodes)
        app(self.grid, Context(RUN, 1, {}, RecordDict(), config))
        return [
            arrays_from_npz((path.parent / str(claim.aggregate)).read_bytes(), str(claim.digest))
            for path, claim in spool.claims()
        ]


def auc(arrays: ArrayRecord, people: People) -> float:
    """Return a dense model's AUC on the people who are on no device."""
    p = network.predict(arrays.to_numpy_ndarrays(), people.unseen_x)
    return scores.auc(people.unseen_y, p)


def start(strategy: Any, nodes: Sequence[Node], first: Sequence[Any], rounds: int = 1) -> Arrays:
    """Return what a strategy makes of `first` under governance."""
    governed = GovernedStrategy(strategy, min_participants=1)
    arrays = ArrayRecord([np.asarray(array, np.float32) for array in first])
    result = governed.start(MemoryGrid(list(nodes)), arrays, rounds, 1)
    return list(result.arrays.to_numpy_ndarrays())
