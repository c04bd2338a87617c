"""A throw-away world for tests of simulations, and runs in it."""

import shutil
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.ddo import Terms
from datatoken.types import Scalar
from fl_edge.cli.publish import describe
from fl_edge.control.plan import make_plan
from fl_edge.fab.shipped import operation_folder
from fl_edge.simulation.engine import Setting, run_engine
from fl_edge.simulation.facts import Facts, read_facts
from fl_edge.simulation.run import Simulation
from fl_edge.simulation.sandbox import Part, Sandbox
from fl_edge.simulation.strategy import Learned

HERE = Path(__file__).parent


def parts() -> list[Part]:
    """Return an operation whose clients each add a number of their own, and FedAverage."""
    return [describe(HERE / "sum_op", None), describe(operation_folder("fedaverage"), None)]


def changed_client(folder: Path, old: str, new: str) -> Part:
    """Return the operation of `parts` with other code in it."""
    target = _copy(HERE / "sum_op", folder / "changed_op")
    code = target / "client_app.py"
    assert old in code.read_text()
    code.write_text(code.read_text().replace(old, new))
    return describe(target, None)


LOOP = '''"""A ServerApp without a strategy: it has a loop of its own."""

import time

import numpy as np
from flwr.app import ArrayRecord, Context, Message, RecordDict
from flwr.serverapp import Grid, ServerApp

app = ServerApp()


def content(number: float) -> RecordDict:
    return RecordDict({"arrays": ArrayRecord([np.full((2, 1), number, np.float32)])})


@app.main()
def main(grid: Grid, context: Context) -> None:
    nodes = list(grid.get_node_ids())
'''


def own_loop(folder: Path, body: str) -> Part:
    """Return an operation whose ServerApp sends by itself: `body` has `grid` and `nodes`."""
    target = _copy(operation_folder("fedaverage"), folder / "own_loop")
    (target / "server_app.py").write_text(LOOP + textwrap.indent(textwrap.dedent(body), "    "))
    return describe(target, None)


def _copy(source: Path, target: Path) -> Path:
    """Copy an operation; it is named as its folder is."""
    shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    document = target / "operation.json"
    document.write_text(document.read_text().replace(f'"{source.name}.', f'"{target.name}.'))
    return target


@dataclass
class Town:
    """A world with one job, and simulations of it."""

    folder: Path
    members: int = 8
    rounds: int = 2
    terms: dict[int, Terms] = field(default_factory=dict)
    minimum: int | None = None
    config: dict[str, Scalar] = field(default_factory=dict)
    parts: Sequence[Part] = field(default_factory=parts)

    def __post_init__(self) -> None:
        self.config = {"num-server-rounds": self.rounds, "min-nodes": self.members, **self.config}
        self.world = Sandbox.build(
            self.folder,
            self.parts,
            self.members,
            self.config,
            terms=lambda index: self.terms.get(index, Terms()),
            minimum=self.minimum,
        )
        self.site = self.world.site("simulation")

    def facts(self) -> Facts:
        return read_facts(self.site, make_plan(self.site, self.world.job, self.config))

    def simulation(self, **setting: object) -> Simulation:
        given = {"clients": self.members, "backend": "inline", **setting}
        return Simulation(self.site, self.facts(), Setting(**given))  # type: ignore[arg-type]

    def bare(self, **setting: object) -> Learned:
        """Run the same app on the same engine without any gate."""
        plan, given = self.facts().plan, {"backend": "inline", **setting}
        made = Setting(self.members, **given)  # type: ignore[arg-type]
        return run_engine(plan.fab, plan.overrides, made, 7, None)

    def revoke(self, member: int) -> None:
        with self.world.owner() as owner:
            owner.revoke(self.world.leaves[member], self.world.composite)

    def close(self) -> None:
        self.world.close()


NewTown = Callable[..., Town]
