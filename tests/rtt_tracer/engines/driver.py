"""Plays all supervisors of a run: folders, certificates, shares, orders. Processes are real."""

import contextlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from datatoken.ports import free_port
from datatoken.types import Scalar, sha256_hex
from rtt_tracer.bundle import bundle_folder, unpack_bundle
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.engines.base import Endpoint, EngineJob, Role
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.engines.spu import SpuEngine, columns_of
from rtt_tracer.program import read_program
from rtt_tracer.sandbox import EngineProcess, Limits

ROOT = Path(__file__).resolve().parents[3]
PYTHON = Path(os.environ.get("DATATOKEN_SPU_PYTHON", ROOT / ".engines/spu/bin/python"))
AGREED = sha256_hex(b"agreed")
PARTIES = {"ABY3": 3, "SECURENN": 3, "CHEETAH": 2, "SEMI2K": 2}
SECONDS = 60.0
Table = Mapping[str, np.ndarray]

SHARE = """
import numpy as np


def share(table, parameters, party):
    names = sorted(name for name in table if name != "y")
    found = {"x": np.stack([table[name] for name in names], axis=1)}
    return found | ({"y": table["y"]} if "y" in table else {})
"""


def operation(
    folder: Path, role: Role, code: str, entry: str, name: str = "trial", **program: Any
) -> bytes:
    """Return the bundle of an operation with one module."""
    place = folder / f"{name}_{role.name.lower()}"
    place.mkdir(parents=True, exist_ok=True)
    (place / "__init__.py").write_text("")
    (place / "model.py").write_text(code)
    source = {
        "name": name,
        "kind": "mpc",
        "entry_points": {role.value: f"{place.name}.model:{entry}"},
        "program": program,
    }
    (place / "operation.json").write_text(json.dumps(source))
    return bundle_folder(place)


def endpoints(count: int) -> tuple[tuple[Endpoint, ...], list[str]]:
    """Return the linked parties and their link keys."""
    made = [make_certificate(f"rank {rank}", "127.0.0.1") for rank in range(count)]
    found = tuple(
        Endpoint(rank, "127.0.0.1", free_port(), certificate)
        for rank, (certificate, _) in enumerate(made)
    )
    return found, [key for _, key in made]


def engine() -> SpuEngine:
    """The engine; without its environment the tests fail by name."""
    found = SpuEngine(PYTHON)
    assert found.missing() is None, found.missing()
    return found


class Run:
    """One run; leave the context to end everything."""

    def __init__(
        self,
        folder: Path,
        compute: bytes,
        protocol: str,
        parameters: Mapping[str, Scalar] | None = None,
        seconds: float = SECONDS,
    ) -> None:
        self.folder, self.compute, self.protocol = folder, compute, protocol
        self.parameters = dict(parameters or {})
        self.seconds = seconds
        self.parties, self.keys = endpoints(PARTIES[protocol])
        self.engine = engine()
        self.shapes: list[tuple[int, ...]] = []
        self.rows = 0
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> "Run":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def job(self, role: Role, folder: Path, entry: str, **changes: Any) -> EngineJob:
        made = EngineJob(
            folder=folder,
            agreed=AGREED,
            role=role,
            entry_point=entry,
            rank=None,
            parties=self.parties,
            protocol=self.protocol,
            parameters=self.parameters,
            inputs=len(self.shapes),
            rows=self.rows,
            shapes=tuple(self.shapes),
            progress_seconds=self.seconds,
        )
        return replace(made, **changes)

    def start(self, job: EngineJob, bundle: bytes) -> EngineProcess:
        """Unpack, prepare and start one process behind its walls."""
        unpack_bundle(bundle, job.folder / "bundle")
        launch = self._stack.enter_context(self.engine.prepare(job))
        process = EngineProcess.start(launch, job.folder, Limits(), job.folder / "engine.log")
        return self._stack.enter_context(process)

    def share(self, tables: Sequence[Table], code: str = SHARE) -> None:
        """Turn every input party's table into shares, and carry them to the compute parties."""
        bundle = operation(self.folder, Role.SPU_SHARE, code, "share", "secret")
        self.rows = len(next(iter(tables[0].values())))
        for index, table in enumerate(tables):
            folder = self.folder / f"data-{index}"
            (folder / "in").mkdir(parents=True)
            np.savez(folder / "in/table.npz", **table)
            job = self.job(Role.SPU_SHARE, folder, "trial", column_owner=index)
            process = self.start(replace(job, entry_point="secret_spu_share.model:share"), bundle)
            self.shapes.append(tuple(columns_of(said(process, "ready"))))
            process.go(0)
            assert said(process, "checkpoint").number == 0
            assert said(process, "end").digest == AGREED
            for rank in range(len(self.parties)):
                target = self.work(rank) / "in/shares"
                target.mkdir(parents=True, exist_ok=True)
                for path in (folder / f"out/to-{rank}").iterdir():
                    shutil.copy(path, target / path.name)

    def work(self, rank: int) -> Path:
        return self.folder / f"compute-{rank}"

    def begin(self, rank: int, bundle: bytes | None = None, **changes: Any) -> EngineProcess:
        """Start one compute party."""
        folder = self.work(rank)
        (folder / "tls").mkdir(parents=True, exist_ok=True)
        (folder / "tls/key.pem").write_text(self.keys[rank])
        (folder / "tls/certificate.pem").write_text(self.parties[rank].certificate)
        bundle = bundle or self.compute
        unpack_bundle(bundle, self.folder / f"look-{rank}")
        entry = read_program(self.folder / f"look-{rank}").entry_point
        job = self.job(Role.SPU_COMPUTE, folder, entry, rank=rank, **changes)
        return self.start(job, bundle)

    def stages(
        self, processes: Sequence[EngineProcess], count: int
    ) -> tuple[list[list[EngineEvent]], list[EngineEvent]]:
        """Let all parties run all stages; return their checkpoints and ends."""
        for process in processes:
            said(process, "ready")
        checkpoints = []
        for number in range(count + 1):
            for process in processes:
                process.go(number)
            checkpoints.append([said(process, "checkpoint") for process in processes])
        return checkpoints, [said(process, "end") for process in processes]

    def run(self, count: int = 1) -> dict[str, np.ndarray]:
        """Run all parties to the end and open the results."""
        processes = [self.begin(rank) for rank in range(len(self.parties))]
        self.checkpoints, self.ends = self.stages(processes, count)
        return self.open()

    def results(self) -> list[Path]:
        return [self.work(rank) / "out/results" for rank in range(len(self.parties))]

    def open(self) -> dict[str, np.ndarray]:
        self.engine.reconstruct(self.results(), self.folder / "out.npz")
        with np.load(self.folder / "out.npz") as values:
            return dict(values)


def said(process: EngineProcess, kind: str, timeout: float = 120.0) -> EngineEvent:
    """Return the next event, which must be of one kind."""
    event = process.next_event(timeout)
    assert event is not None, f"no event within {timeout} s"
    assert event.event == kind, event
    return event


def last(process: EngineProcess, timeout: float = 180.0) -> EngineEvent:
    """Return the final event."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        event = process.next_event(1.0)
        if event is not None and event.event in ("end", "failed"):
            return event
    raise AssertionError(f"no end within {timeout} s")


def bank_tables(rows: int = 400) -> list[dict[str, np.ndarray]]:
    """Columns of two banks; the second one also has the label."""
    random = np.random.default_rng(7)
    a, b = random.normal(size=(rows, 3)), random.normal(size=(rows, 2))
    y = (a @ [1.0, -0.5, 0.3] + b @ [0.8, 0.2] + random.normal(size=rows) > 0).astype(float)
    first = {f"a{index}": a[:, index] for index in range(3)}
    second = {f"b{index}": b[:, index] for index in range(2)} | {"y": y}
    return [first, second]


@contextlib.contextmanager
def environment(name: str, value: str) -> Iterator[None]:
    """Set a variable of this process."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        os.environ.pop(name) if before is None else os.environ.update({name: before})


Check = Callable[[dict[str, np.ndarray]], None]
