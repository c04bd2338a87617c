"""What the gates cost: the same Flower app, gated and bare, in alternating runs.

    python benchmarks/flower_overhead.py [--json] [--users 2] [--rounds 3] [--repeats 3]

Both sides stand at once on this machine: anvil, recorder, a governed SuperLink with gated
SuperNodes; flwr's own SuperLink with its own SuperNodes. The runs take turns, so that both
see the same weather.

Figures
-------
run_ratio
    Seconds of all gated runs to those of all bare runs (goal 1.03).
gate_ms_p50, gate_ms_p99
    Milliseconds that a SuperNode's gate adds to one message, both ways, without pulling the
    message, which flwr does as well (goal 20 for a model up to 1 MB). p99 has the first
    message of a run in it, for which the app is rebuilt.
rpcs_per_message
    Requests to the chain for each message, when nothing has changed (goal 1): without each
    run's first message (its announcement moved the counter) and a node's second one (the
    owners of the others' DTs are read once, with the first round of the log).
extra_mb
    Memory of a gated SuperNode over a bare one, after all runs (goal 80).
"""

import argparse
import contextlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from datatoken.errors import RunFailedError
from datatoken.ports import free_port
from datatoken.types import Scalar, sha256_hex
from examples.mvp2_wearables.data import People, load_people
from examples.mvp2_wearables.hostile import honest_fab
from examples.mvp2_wearables.stack import FAST, Link, Stack
from examples.mvp2_wearables.world import (
    World,
    grant_and_post,
    publish,
    register,
    start_world,
)
from examples.support.ground import ROOT
from examples.support.processes import Process, Processes, program
from fl_edge.control.client import SuperLink
from fl_edge.fab import effective_config
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY

CLIENT = "edgecomp_numpy"
LAYERS = "19-10000-1"
"""840 kB of weights."""

LIMIT = 600.0
POLL = 0.1
GOALS = {
    "run_ratio": 1.03,
    "gate_ms_p50": 20.0,
    "gate_ms_p99": None,
    "rpcs_per_message": 1.0,
    "extra_mb": 80.0,
}


@dataclass
class Bench:
    """Both sides, running."""

    world: World
    gated: Link
    bare: Link
    gated_nodes: list[Process]
    bare_nodes: list[Process]
    overrides: dict[str, Scalar]
    seconds: dict[str, list[float]] = field(default_factory=lambda: {"gated": [], "bare": []})

    def run(self, side: str) -> None:
        """Run the app once on one side and take the time."""
        fab = honest_fab(ROOT, CLIENT)
        hints = self._announced(fab) if side == "gated" else {}
        link = self.gated if side == "gated" else self.bare
        with SuperLink(link.address, insecure=True) as superlink:
            started = time.monotonic()
            run = superlink.start(fab, {**self.overrides, **hints})
            while (ended := superlink.outcome(run)) is None:
                if time.monotonic() - started > LIMIT:
                    raise RunFailedError(f"A {side} run did not end within {LIMIT:.0f} s.")
                time.sleep(POLL)
            if not ended.completed:
                raise RunFailedError(f"A {side} run failed: {ended.details}")
            self.seconds[side].append(time.monotonic() - started)

    def _announced(self, fab: bytes) -> Mapping[str, Scalar]:
        world, parameters = self.world, effective_config(fab, self.overrides)
        maker, owner = world.owner_of_algorithm(), world.owner_of_composite()
        request = maker.sign_request(
            world.job, sha256_hex(fab), parameters, audience=world.composite
        )
        owner.announce(world.job, request, artefact=sha256_hex(fab), parameters=parameters)
        maker.close()
        owner.close()
        return {JOB_KEY: world.job, REQUEST_KEY: request.digest()}


@contextlib.contextmanager
def both_sides(folder: Path, people: People, rounds: int) -> Iterator[Bench]:
    """Start everything; stop everything."""

    def quiet(text: str) -> None:
        """Say nothing."""

    world = start_world(folder, people, quiet)
    try:
        with Processes(folder / "logs") as processes:
            stack = Stack(world, processes, free_port())
            register(world, CLIENT, quiet)
            publish(world, people, CLIENT, stack.endpoint, quiet)
            grant_and_post(world, quiet)
            stack.start_recorder()
            gated, bare = stack.start_superlink(), stack.start_stock_superlink()
            nodes = [stack.start_supernode(person, gated) for person in world.persons]
            stack.wait_for_nodes(nodes)
            bare_nodes = [
                start_bare_supernode(processes, folder, bare, person.name, person.data)
                for person in world.persons
            ]
            for node in bare_nodes:
                node.wait_for("SuperNode ID", 60)
            overrides: dict[str, Scalar] = {
                "num-server-rounds": rounds,
                "layers": people.layers,
                "min-nodes": len(nodes),
                "round-timeout": 120.0,
            }
            yield Bench(world, gated, bare, nodes, bare_nodes, overrides)
    finally:
        world.close()


def start_bare_supernode(
    processes: Processes, folder: Path, link: Link, name: str, data: Path
) -> Process:
    """Start flwr's own SuperNode on the same rows."""
    home = folder / "bare" / name
    home.mkdir(parents=True)
    command = [program("flower-supernode"), "--insecure", "--superlink", link.address]
    command += ["--host", "127.0.0.1", "--port", str(free_port())]
    command += ["--node-config", f'data="{data}"']
    return processes.start(f"bare-{name}", command, {**FAST, "FLWR_HOME": str(home)})


def gate_events(log: str) -> list[dict[str, Any]]:
    """Return one entry a message from a SuperNode's log: gate_ms, rpcs, whether it is steady."""
    found: list[dict[str, Any]] = []
    seen: set[str] = set()
    for line in log.splitlines():
        entry = json.loads(line) if line.startswith("{") else {}
        if entry.get("event") == "message admitted":
            steady = entry["run"] in seen and len(found) > 1
            seen.add(entry["run"])
            gate_ms = entry["ms"] - entry["pull_ms"]
            found.append({"gate_ms": gate_ms, "rpcs": entry["rpcs"], "steady": steady})
        elif entry.get("event") == "reply sent" and found:
            found[-1]["gate_ms"] += entry["ms"]
    return found


def memory_mb(process: Process) -> float:
    """Return the resident memory of a process."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        line = next(li for li in status.read_text().splitlines() if li.startswith("VmRSS"))
        return int(line.split()[1]) / 1024
    command = ["ps", "-o", "rss=", "-p", str(process.pid)]
    return int(subprocess.run(command, capture_output=True, check=True).stdout) / 1024


def percentile(values: Sequence[float], share: float) -> float:
    """Return a percentile by nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, -(-int(share * len(ordered) * 100) // 100) - 1))]


def figures(bench: Bench) -> dict[str, float]:
    """Return what was measured."""
    events = [event for node in bench.gated_nodes for event in gate_events(node.text())]
    steady = [event["rpcs"] for event in events if event["steady"]]
    gate_ms = [event["gate_ms"] for event in events]
    gated, bare = (
        statistics.mean(memory_mb(node) for node in nodes)
        for nodes in (bench.gated_nodes, bench.bare_nodes)
    )
    return {
        "run_ratio": round(sum(bench.seconds["gated"]) / sum(bench.seconds["bare"]), 3),
        "gate_ms_p50": round(statistics.median(gate_ms), 1),
        "gate_ms_p99": round(percentile(gate_ms, 0.99), 1),
        "rpcs_per_message": round(statistics.mean(steady), 2),
        "extra_mb": round(gated - bare, 1),
    }


def measure(users: int, rounds: int, repeats: int) -> tuple[dict[str, float], Bench]:
    """Run both sides in turn; which one begins alternates."""
    people = replace(load_people("heart", users), layers=LAYERS)
    with (
        tempfile.TemporaryDirectory(prefix="flower-overhead-") as folder,
        both_sides(Path(folder), people, rounds) as bench,
    ):
        for repeat in range(repeats):
            for side in ("gated", "bare") if repeat % 2 == 0 else ("bare", "gated"):
                bench.run(side)
                seconds = bench.seconds[side][-1]
                print(f"{side:6s} run {repeat + 1}: {seconds:6.1f} s", file=sys.stderr)
        return figures(bench), bench


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--users", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    given = parser.parse_args()
    found, bench = measure(given.users, given.rounds, given.repeats)
    for name, value in found.items():
        goal = GOALS[name]
        print(f"{name:18s} {value:8.2f}" + (f"  (goal {goal:g})" if goal is not None else ""))
    if given.json:
        seconds = {side: [round(s, 1) for s in took] for side, took in bench.seconds.items()}
        print(json.dumps({**found, "seconds": seconds, "model_kb": 840}))


if __name__ == "__main__":
    main()
