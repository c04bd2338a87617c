"""What the gates cost a simulation: the same app, governed and bare, on flwr's own engine.

    python benchmarks/simulation.py [--json] [--clients 10 100 1000] [--backend ray]

For each size a throw-away chain with a DT, a document and a grant for every client. Runs take
turns, so that both sides see the same weather. The clients do next to nothing: what is measured
is the engine, and what the gates add to it.

Figures
-------
bare_s, governed_s
    Median seconds of a round (train and evaluate), without the first, in which the engine
    starts, and the last, in which it stops.
ratio
    Governed over bare (goal 1.05). Bare waits as flwr does, by asking every tenth of a second; a
    governed run is told, so that the ratio can fall below 1. What gates cost is `gate_ms`.
gate_ms
    Milliseconds of processor time that all gates together take for a round: a figure that the
    machine's other work does not move. `gate_share` is that over a bare round's seconds.
world_s
    Seconds to set the world up.
"""

import argparse
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatoken.types import MessageKind
from examples.support.ground import ROOT
from fl_edge.cli.publish import describe
from fl_edge.control.plan import make_plan
from fl_edge.fab.shipped import operation_folder
from fl_edge.simulation.engine import Setting, run_engine
from fl_edge.simulation.facts import read_facts
from fl_edge.simulation.gates import ClientGates
from fl_edge.simulation.run import Simulation
from fl_edge.simulation.sandbox import Sandbox
from fl_edge.simulation.seams import choose_backend
from fl_edge.superlink.gate import Outgoing

GOAL = 1.05
CLIENT = ROOT / "tests" / "fl_edge" / "simulation" / "sum_op"
BARE_RUN = 1


@dataclass
class Laps:
    """The moments at which training rounds left."""

    at: list[float] = field(default_factory=list)

    def note(self, messages: list[Outgoing]) -> None:
        """Note a round."""
        if messages[0].kind is MessageKind.TRAIN:
            self.at.append(time.perf_counter())

    def seconds(self) -> list[float]:
        """Return the rounds between the first and the last."""
        return [after - before for before, after in zip(self.at[1:], self.at[2:], strict=False)]


@contextlib.contextmanager
def timed_gates(spent: list[float]) -> Iterator[None]:
    """Add up the processor time of all that a governed simulation does beside a bare one."""
    names = ("look", "admit", "inspect")
    plain = {name: getattr(ClientGates, name) for name in names}

    def timed(name: str) -> object:
        def call(*given: object) -> object:
            started = time.thread_time()
            try:
                return plain[name](*given)
            finally:
                spent.append(time.thread_time() - started)

        return call

    for name in names:
        setattr(ClientGates, name, timed(name))
    try:
        yield
    finally:
        for name in names:
            setattr(ClientGates, name, plain[name])


def measure(clients: int, backend: str, rounds: int, repeats: int) -> dict[str, float]:
    """Return the figures of one size."""
    config = {"num-server-rounds": rounds, "min-nodes": clients}
    parts = [describe(CLIENT, None), describe(operation_folder("fedaverage"), None)]
    began = time.perf_counter()
    seconds: dict[str, list[float]] = {"bare": [], "governed": []}
    spent: list[float] = []
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as folder,
        Sandbox.build(Path(folder), parts, clients, config) as world,
    ):
        site = world.site("simulation")
        plan = make_plan(site, world.job, config)
        facts = read_facts(site, plan)
        world_s = time.perf_counter() - began
        for repeat in range(repeats):
            for side in ("bare", "governed") if repeat % 2 == 0 else ("governed", "bare"):
                laps = Laps()
                setting = Setting(clients, backend, sent=laps.note)
                if side == "bare":
                    run_engine(plan.fab, plan.overrides, setting, BARE_RUN, None)
                else:
                    with timed_gates(spent):
                        Simulation(site, facts, setting).run()
                seconds[side] += laps.seconds()
                shown = " ".join(f"{one:.2f}" for one in laps.seconds())
                print(f"{clients:5d} clients, {side:8s}: {shown} s", file=sys.stderr)
    bare, governed = statistics.median(seconds["bare"]), statistics.median(seconds["governed"])
    gates = sum(spent) / (rounds * repeats)
    return {
        "bare_s": round(bare, 3),
        "governed_s": round(governed, 3),
        "ratio": round(governed / bare, 3),
        "gate_ms": round(1000 * gates, 1),
        "gate_share": round(gates / bare, 4),
        "world_s": round(world_s, 1),
    }


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--clients", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--backend", choices=("ray", "inline"), default=None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--repeats", type=int, default=2)
    given = parser.parse_args()
    if given.rounds < 3:
        parser.error("--rounds takes 3 at least: the first and the last are not counted")
    backend = choose_backend(given.backend)
    found = {}
    for clients in given.clients:
        found[str(clients)] = one = measure(clients, backend, given.rounds, given.repeats)
        print(
            f"{clients:5d} clients: bare {one['bare_s']:.2f} s, governed {one['governed_s']:.2f} s "
            f"a round, ratio {one['ratio']:.3f} (goal {GOAL:g}); gates {one['gate_ms']:.0f} ms"
        )
    if given.json:
        print(json.dumps({"backend": backend, "goal": GOAL, "clients": found}))


if __name__ == "__main__":
    main()
