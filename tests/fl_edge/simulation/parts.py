"""A throw-away world for tests of simulations, and runs in it."""

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


@dataclass
class Town:
    """A world with one job, and simulations of it."""

    folder: Path
    members: int = 8
    rounds: int = 2
    terms: dict[int, Terms] = field(default_factory=dict)
    minimum: int | None = None
    config: dict[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.config = {"num-server-rounds": self.rounds, "min-nodes": self.members, **self.config}
        self.world = Sandbox.build(
            self.folder,
            parts(),
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

    def bare(self, backend: str = "inline") -> Learned:
        """Run the same app on the same engine without any gate."""
        plan = self.facts().plan
        return run_engine(plan.fab, plan.overrides, Setting(self.members, backend), 7, None)

    def revoke(self, member: int) -> None:
        with self.world.owner() as owner:
            owner.revoke(self.world.leaves[member], self.world.composite)

    def close(self) -> None:
        self.world.close()
