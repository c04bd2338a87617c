"""The engines' processes alone: no gate, no control channel, no chain, no recorder, no sandbox.

What is left is what any SPU or Rosetta job has: one process a party, a link, and somebody who
starts them. Used by `benchmarks.mpc_overhead`.
"""

import contextlib
import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatoken.errors import RunFailedError
from datatoken.ports import free_port
from datatoken.types import ZERO32, Scalar
from rtt_tracer.bundle import unpack_bundle
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.engines.base import Endpoint, Engine, EngineJob, Launch, Role
from rtt_tracer.engines.child_process import CODE, environment, write_job
from rtt_tracer.engines.events import EVENTS_FD, ORDERS_FD, order
from rtt_tracer.engines.rosetta import RosettaEngine
from rtt_tracer.engines.spu import SpuEngine
from rtt_tracer.program import read_program
from rtt_tracer.tables import PrivateTable

HOST = "127.0.0.1"
LIMIT = 3600.0
CHILD = Path(__file__).resolve().with_name("mpc_bare_child.py")
ENDPOINTS = "endpoints.json"


class PlainLink(SpuEngine):
    """SPU on its own link in plain text, without the relay of a governed party."""

    @contextlib.contextmanager
    def prepare(self, job: EngineJob) -> Iterator[Launch]:
        """Write the job and say how to start the process."""
        if not job.role.linked:
            with super().prepare(job) as launch:
                yield launch
            return
        write_job(job, read_program(job.folder / "bundle"))
        ends = [str(end) for end in job.parties]
        (job.folder / ENDPOINTS).write_text(json.dumps(ends), encoding="utf-8")
        command = (str(self._python), "-I", "-B", str(CHILD), str(CODE))
        yield Launch(command, environment(job.folder))


class OpenRosetta(RosettaEngine):
    """Rosetta on the host's own network, on 127.0.0.1: a governed one has a network to itself."""

    _confined = False  # type: ignore[assignment]

    def __init__(self, python: Path) -> None:
        super().__init__(python, allow_unconfined=True)


@dataclass(frozen=True)
class Ended:
    """One process that has ended well.

    Attributes
    ----------
    columns : tuple of int
        Of the arrays that it announced.
    checkpoints : tuple of float
        Monotonic time of each; at the first one, number 0, its inputs are there.
    ended : float
        Of its last word.
    """

    folder: Path
    columns: tuple[int, ...]
    checkpoints: tuple[float, ...]
    ended: float


@dataclass(frozen=True)
class Bare:
    """A training without anybody's permission.

    Attributes
    ----------
    tables : sequence of PrivateTable
        Of the input parties, in order.
    sharing : (bytes, str) or None
        Bundle and entry point of the operation that turns rows into shares; None for
        Rosetta, whose parties read rows themselves.
    linked : (bytes, str)
        Bundle and entry point of what the linked parties run.
    """

    engine: Engine
    tables: Sequence[PrivateTable]
    sharing: tuple[bytes, str] | None
    linked: tuple[bytes, str]
    parties: int
    protocol: str
    parameters: Mapping[str, Scalar]

    def run(self, folder: Path) -> list[Ended]:
        """Run it in `folder`; return how the linked parties have ended, by rank."""
        keys = [make_certificate(f"rank {rank}", HOST) for rank in range(self.parties)]
        ends = tuple(
            Endpoint(rank, HOST, free_port(), certificate)
            for rank, (certificate, _) in enumerate(keys)
        )
        shared = self._share(folder, ends)
        jobs = [
            self._job(folder / f"rank-{rank}", ends, rank, shared) for rank in range(self.parties)
        ]
        for job, (certificate, key) in zip(jobs, keys, strict=True):
            _write_tls(job.folder, certificate, key, ends)
            for one in shared:
                shutil.copytree(
                    one.folder / "out" / f"to-{job.rank}",
                    job.folder / "in" / "shares",
                    dirs_exist_ok=True,
                )
        return _together(self.engine, jobs)

    def _share(self, folder: Path, ends: tuple[Endpoint, ...]) -> list[Ended]:
        if self.sharing is None:
            return []
        found = []
        for number, table in enumerate(self.tables):
            job = EngineJob(
                folder=_folder(folder / f"input-{number}", self.sharing[0], table),
                agreed=ZERO32,
                role=Role.SPU_SHARE,
                entry_point=self.sharing[1],
                rank=None,
                parties=ends,
                protocol=self.protocol,
                parameters=self.parameters,
                column_owner=number,
                inputs=len(self.tables),
                rows=table.rows,
            )
            found += _together(self.engine, [job])
        return found

    def _job(
        self, folder: Path, ends: tuple[Endpoint, ...], rank: int, shared: Sequence[Ended]
    ) -> EngineJob:
        rosetta = self.sharing is None
        reads = rosetta and rank < len(self.tables)
        return EngineJob(
            folder=_folder(folder, self.linked[0], self.tables[rank] if reads else None),
            agreed=ZERO32,
            role=Role.ROSETTA if rosetta else Role.SPU_COMPUTE,
            entry_point=self.linked[1],
            rank=rank,
            parties=ends,
            protocol=self.protocol,
            parameters=self.parameters,
            column_owner=rank if reads else None,
            inputs=len(self.tables),
            rows=self.tables[0].rows,
            shapes=tuple(one.columns for one in shared),
            progress_seconds=LIMIT,
        )


def _folder(folder: Path, bundle: bytes, table: PrivateTable | None) -> Path:
    for name in ("in/shares", "out/results", "tls", "tmp"):
        (folder / name).mkdir(parents=True)
    unpack_bundle(bundle, folder / "bundle")
    if table is not None:
        table.write_npz(folder / "in" / "table.npz")
    return folder


def _write_tls(folder: Path, certificate: str, key: str, ends: Sequence[Endpoint]) -> None:
    tls = folder / "tls"
    (tls / "key.pem").write_text(key, encoding="utf-8")
    (tls / "certificate.pem").write_text(certificate, encoding="utf-8")
    (tls / "peers.pem").write_text("".join(end.certificate for end in ends), encoding="utf-8")
    for end in ends:
        (tls / f"{end.rank}.pem").write_text(end.certificate, encoding="utf-8")


def _together(engine: Engine, jobs: Sequence[EngineJob]) -> list[Ended]:
    """Run processes side by side, with leave to go through all stages at once."""
    found: list[Ended | BaseException] = [RunFailedError("It did not end.")] * len(jobs)
    running: list[subprocess.Popen[bytes]] = []

    def one(number: int, job: EngineJob) -> None:
        try:
            with engine.prepare(job) as launch:
                found[number] = _follow(job, launch, running)
        except BaseException as error:
            found[number] = error

    threads = [threading.Thread(target=one, args=pair) for pair in enumerate(jobs)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(LIMIT)
    finally:
        for process in running:
            process.kill()
    failed = [one for one in found if isinstance(one, BaseException)]
    if failed:
        raise failed[0]
    return [one for one in found if isinstance(one, Ended)]


def _follow(job: EngineJob, launch: Launch, running: "list[subprocess.Popen[bytes]]") -> Ended:
    columns: tuple[int, ...] = ()
    checkpoints: list[float] = []
    with _process(job, launch, running) as (events, orders):
        for line in events:
            said: dict[str, Any] = json.loads(line)
            if said["event"] == "ready":
                metrics = said.get("metrics", {})
                widths = [k for k in metrics if k.startswith("columns.")]
                columns = tuple(int(metrics[f"columns.{n}"]) for n in range(len(widths)))
                for stage in range(_stages(job) + 1):
                    os.write(orders, order(stage))
            elif said["event"] == "checkpoint":
                checkpoints.append(time.monotonic())
            elif said["event"] == "failed":
                raise RunFailedError(f"{job.role} failed: {said}")
            elif said["event"] == "end":
                return Ended(job.folder, columns, tuple(checkpoints), time.monotonic())
    log = (job.folder / "engine.log").read_text(encoding="utf-8", errors="replace")
    raise RunFailedError(f"{job.role} ended before it said so: {log[-500:]}")


def _stages(job: EngineJob) -> int:
    if job.role is Role.SPU_SHARE:
        return 0
    every = int(job.parameters["checkpoint-every"])
    return -(-int(job.parameters["epochs"]) // every)


@contextlib.contextmanager
def _process(
    job: EngineJob, launch: Launch, running: "list[subprocess.Popen[bytes]]"
) -> Iterator[tuple[Iterator[bytes], int]]:
    events_out, events_in = os.pipe()
    orders_out, orders_in = os.pipe()
    pipes = {EVENTS_FD: str(events_in), ORDERS_FD: str(orders_out)}
    with (job.folder / "engine.log").open("wb") as log:
        process = subprocess.Popen(
            list(launch.argv),
            env={**launch.environment, **pipes},
            cwd=job.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(events_in, orders_out),
            start_new_session=True,
        )
    running.append(process)
    os.close(events_in)
    os.close(orders_out)
    try:
        with os.fdopen(events_out, "rb") as events:
            yield iter(events), orders_in
    finally:
        os.close(orders_in)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
