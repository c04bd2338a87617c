"""The local stack of the tutorials: a chain, a recorder, the banks' services, in one call.

A tutorial plays one role; everybody else acts here, as in the demo (examples/mvp1_banks).
"""

import atexit
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from datatoken.types import Hex32
from examples.support.credit import Credit, load_credit
from examples.support.mpc.consent import ask_all, post
from examples.support.mpc.hosts import check_engine
from examples.support.mpc.runs import Runs
from examples.support.mpc.world import (
    OPERATIONS,
    CreditWorld,
    add_host,
    publish_algorithm,
    publish_compute,
    publish_data,
    register_operation,
    start_services,
    start_world,
)
from examples.support.processes import Processes

SHARE, JOINT, LOCAL = "secret_sharing", "logistic_regression", "local_logistic_regression"
ROSETTA = "logistic_regression_rosetta"
ENGINE_OPERATIONS = {"spu": (SHARE, JOINT, LOCAL), "rosetta": (ROSETTA,)}
LABEL = "default"
ROWS = 3_000


def quiet(text: str) -> None:
    """Say nothing."""


@dataclass
class Stack:
    """A running stack; `close` (or the end of Python) stops all of it."""

    folder: Path
    processes: Processes
    world: CreditWorld
    runs: Runs

    @classmethod
    def open(cls, rows: int = ROWS, engines: Sequence[str] = ("spu",)) -> Self:
        """Start a chain, register institutions and operations, and load the banks' tables."""
        for engine in engines:
            check_engine(engine)
        folder = Path(tempfile.mkdtemp(prefix="datatoken-tutorial-"))
        processes = Processes(folder / "logs")
        try:
            world = start_world(folder, load_credit(rows), processes, ("A", "B", "C", "D"), quiet)
        except BaseException:
            shutil.rmtree(folder)
            raise
        stack = cls(folder, processes, world, Runs(world))
        atexit.register(stack.close)
        for engine in engines:
            for name in ENGINE_OPERATIONS[engine]:
                register_operation(world, OPERATIONS / name)
        return stack

    @property
    def credit(self) -> Credit:
        """The banks' tables."""
        return self.world.credit

    def publish_assets(
        self,
        data: Sequence[str] = (SHARE, LOCAL),
        compute: str = JOINT,
        providers: Sequence[str] = ("A", "B", "D"),
        queue: str = "",
    ) -> None:
        """Have the banks describe tables, the providers computes; one bank may queue requests."""
        for bank in ("A", "B"):
            add_host(self.world, bank, "private", "queue" if bank == queue else "auto")
            publish_data(self.world, bank, data)
        for provider in providers:
            add_host(self.world, provider, "federated")
            publish_compute(self.world, provider, [compute])

    def start_services(self) -> None:
        """Start the recorder and every asset service."""
        start_services(self.world)

    def compose_joint(self, name: str = "Joint credit model", purpose: str | None = None) -> Hex32:
        """Have C compose the joint model."""
        stages = [
            {"A-data": SHARE, "B-data": SHARE},
            {"A-compute": JOINT, "B-compute": JOINT, "D-compute": JOINT},
        ]
        more = {} if purpose is None else {"purpose": purpose}
        return publish_algorithm(
            self.world, name, stages, parameters={SHARE: {"label": LABEL}}, **more
        )

    def post(self, name: str) -> Hex32:
        """Have C ask for all grants of an algorithm and post it; return the job."""
        ask_all(self.world, self.world.dts[name])
        return post(self.world, name, self.world.dts[name])

    def close(self) -> None:
        """Stop every process and remove the folder. Safe to repeat."""
        if self.folder.exists():
            self.processes.__exit__(None, None, None)
            self.world.close()
            shutil.rmtree(self.folder, ignore_errors=True)
