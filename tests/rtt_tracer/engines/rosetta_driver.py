"""Plays the three supervisors of a Rosetta run. The processes, the relays, Rosetta are real."""

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datatoken.types import Scalar
from rtt_tracer.bundle import unpack_bundle
from rtt_tracer.engines.base import EngineJob, Role
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.engines.rosetta import RosettaEngine, check_results
from rtt_tracer.program import read_program
from rtt_tracer.sandbox import EngineProcess, Limits
from tests.rtt_tracer.engines.driver import AGREED, ROOT, Table, endpoints, operation, said

PYTHON = Path(os.environ.get("DATATOKEN_ROSETTA_PYTHON", ROOT / ".engines/rosetta/bin/python"))
SECONDS = 90.0
RANKS = range(3)

TRAINING = """
import latticex.rosetta as rtt
import numpy as np
import tensorflow as tf


class Training:
    def share(self, table, parameters, party):
        names = sorted(name for name in table if name != "y")
        found = {"x": np.stack([table[name] for name in names], axis=1)}
        if "y" in table:
            found["y"] = table["y"]
        return found

    def arrays(self, parties, parameters):
        return [("x", party) for party in parties] + [("y", 1)]

    def begin(self, inputs, parameters):
        x = [inputs[name] for name in sorted(inputs) if name.startswith("x")]
        self.x, self.y = np.concatenate(x, axis=1), inputs["y1"]
        count, width = self.x.shape
        self.rate = parameters["learning-rate"]
        self.px = tf.placeholder(tf.float64, [count, width])
        self.py = tf.placeholder(tf.float64, [count, 1])
        self.w = tf.Variable(np.zeros((width, 1)), dtype=tf.float64)
        logits = tf.matmul(self.px, self.w)
        error = 0.5 + 0.15 * logits - self.py
        step = tf.matmul(self.px, error, transpose_a=True) * (self.rate / count)
        self.train = tf.assign(self.w, self.w - step)
        self.session = tf.Session()
        self.session.run(tf.global_variables_initializer())

    def stage(self, progress):
        for done in range(3):
            self.session.run(self.train, feed_dict={self.px: self.x, self.py: self.y})
            progress(done + 1, 3)

    def state(self):
        return {"weights": self.session.run(self.w)}

    def outputs(self):
        return {"weights": self.session.run(self.w)}
"""
STAGES = 2
PARAMETERS: dict[str, Scalar] = {"epochs": STAGES, "learning-rate": 0.5, "fraction-bits": 16}


def in_the_clear(tables: Sequence[Table]) -> np.ndarray:
    """Return the weights that `TRAINING` gives on rows that nobody hides."""
    x = np.concatenate(
        [np.stack([one[n] for n in sorted(one) if n != "y"], axis=1) for one in tables], axis=1
    )
    y, w = tables[1]["y"].reshape(-1, 1), np.zeros((x.shape[1], 1))
    for _ in range(STAGES * 3):
        error = 0.5 + 0.15 * (x @ w) - y
        w = w - x.T @ error * (float(PARAMETERS["learning-rate"]) / len(x))
    return w


def training(folder: Path, code: str = TRAINING) -> bytes:
    """Return the bundle of an operation by stages."""
    return operation(folder, Role.ROSETTA, code, "Training", "training", stages="epochs", rows=True)


def rosetta() -> RosettaEngine:
    """Return the engine; without its environment the tests fail by name."""
    found = RosettaEngine(PYTHON)
    assert found.missing() is None, found.missing()
    return found


class RosettaRun:
    """One run of three parties; leave the context to end everything."""

    def __init__(
        self,
        folder: Path,
        bundle: bytes,
        tables: Sequence[Table],
        parameters: Mapping[str, Scalar] | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.folder, self.bundle, self.tables, self.seconds = folder, bundle, tables, seconds
        self.parameters = dict(PARAMETERS if parameters is None else parameters)
        self.parties, self.keys = endpoints(len(RANKS))
        self.engine = rosetta()
        self.checkpoints: list[list[EngineEvent]] = []
        self.ends: list[EngineEvent] = []
        self._stacks = [contextlib.ExitStack() for _ in RANKS]

    def __enter__(self) -> "RosettaRun":
        return self

    def __exit__(self, *_: object) -> None:
        for rank in RANKS:
            self.leave(rank)

    def leave(self, rank: int) -> None:
        """End one party: its process and its relay."""
        self._stacks[rank].close()

    def work(self, rank: int) -> Path:
        return self.folder / f"party-{rank}"

    def results(self, rank: int) -> Path:
        return self.work(rank) / "out/results"

    def begin(self, rank: int, bundle: bytes | None = None, **changes: Any) -> EngineProcess:
        """Start one party."""
        folder = self.work(rank)
        for name in ("tls", "in"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        (folder / "tls/key.pem").write_text(self.keys[rank])
        (folder / "tls/certificate.pem").write_text(self.parties[rank].certificate)
        unpack_bundle(bundle or self.bundle, folder / "bundle")
        has_rows = rank < len(self.tables)
        if has_rows:
            np.savez(folder / "in/table.npz", **self.tables[rank])  # type: ignore[arg-type]
        job = EngineJob(
            folder=folder,
            agreed=AGREED,
            role=Role.ROSETTA,
            entry_point=read_program(folder / "bundle").entry_point,
            rank=rank,
            parties=self.parties,
            protocol="SecureNN",
            parameters=self.parameters,
            column_owner=rank if has_rows else None,
            inputs=len(self.tables),
            rows=len(next(iter(self.tables[0].values()))) if self.tables else 0,
            progress_seconds=self.seconds,
        )
        launch = self._stacks[rank].enter_context(self.engine.prepare(replace(job, **changes)))
        process = EngineProcess.start(launch, folder, Limits(), folder / "engine.log")
        return self._stacks[rank].enter_context(process)

    def begin_all(self) -> list[EngineProcess]:
        processes = [self.begin(rank) for rank in RANKS]
        for process in processes:
            said(process, "ready")
        return processes

    def run(self, stages: int = STAGES) -> None:
        """Run all parties to their good end."""
        processes = self.begin_all()
        for number in range(stages + 1):
            self.stage(processes, number)
        self.ends = [ended(process) for process in processes]
        assert all(process.wait(20) for process in processes)
        assert [process.exit_code for process in processes] == [0, 0, 0]

    def stage(self, processes: Sequence[EngineProcess], number: int) -> None:
        for process in processes:
            process.go(number)
        self.checkpoints.append([checkpoint(process, number) for process in processes])

    def open(self) -> dict[str, np.ndarray]:
        for rank in RANKS:
            commitment = self.checkpoints[-1][rank].commitment
            assert commitment is not None
            check_results(self.results(rank), commitment)
        self.engine.reconstruct([self.results(rank) for rank in RANKS], self.folder / "out.npz")
        with np.load(self.folder / "out.npz") as values:
            return dict(values)

    def logs(self) -> str:
        return "\n".join((self.work(rank) / "engine.log").read_text()[-2000:] for rank in RANKS)


def heard(process: EngineProcess, timeout: float = 120.0) -> EngineEvent:
    """Return the next event that is no progress."""
    while True:
        event = process.next_event(timeout)
        assert event is not None, f"no event within {timeout} s"
        if event.event != "progress":
            return event


def checkpoint(process: EngineProcess, number: int) -> EngineEvent:
    event = heard(process)
    assert (event.event, event.number) == ("checkpoint", number), event
    return event


def ended(process: EngineProcess) -> EngineEvent:
    event = heard(process)
    assert event.event == "end", event
    return event


def listening() -> set[tuple[str, int]]:
    """Return where this process and all below it listen, in this network namespace."""
    here = str(Path("/proc/self/ns/net").readlink())
    inodes, parents = set(), {os.getpid()}
    for pid, parent in _processes():
        if parent not in parents and pid not in parents:
            continue
        parents.add(pid)
        with contextlib.suppress(OSError):
            if str(Path(f"/proc/{pid}/ns/net").readlink()) == here:
                inodes |= {str(one.readlink()) for one in Path(f"/proc/{pid}/fd").iterdir()}
    found = set()
    for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
            address, port = fields[1].split(":")
            host = ".".join(str(byte) for byte in reversed(bytes.fromhex(address)))
            found.add((host, int(port, 16)))
    return found


def _processes() -> list[tuple[int, int]]:
    """Return (process, parent), parents first."""
    found = []
    for one in Path("/proc").iterdir():
        if one.name.isdecimal():
            with contextlib.suppress(OSError, ValueError):
                stat = (one / "stat").read_text().rpartition(")")[2].split()
                found.append((int(one.name), int(stat[1]), int(stat[19])))
    return [(pid, parent) for pid, parent, _ in sorted(found, key=lambda one: one[2])]
