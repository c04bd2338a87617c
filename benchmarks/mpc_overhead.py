"""What the gates cost a training on shares: the same one, governed and bare, in alternating runs.

    python benchmarks/mpc_overhead.py [--json] [--seconds 60] [--repeats 2]
                                      [--engines spu_aby3,spu_cheetah] [--rows 30000]

Governed: the world of MVP 1 on this machine: anvil, recorder, one asset service over HTTPS for
each private domain and each compute, ``rtt-tracer run``, a supervised and sandboxed process for
each party. Between two stages all parties ask the chain again, exchange commitments and sign;
the recorder logs.

Bare: the same engine's environment, the same bundles, parameters, tables and number of stages,
one process a party, with leave for all stages at once. No gate, chain, recorder, service,
control channel or sandbox. The link is the same: the engine's sockets, carried by the engine's
relay over TLS 1.3 with pinned certificates, since neither engine has a TLS that can be used
(Rosetta has none; brpc takes plain text beside it and does not survive a long run). With ``--link
plain`` bare SPU processes talk brpc over TCP in plain text: the ratio has then the encryption in
it as well.

Figures, for each engine
------------------------
ratio
    Seconds of all governed runs to those of all bare ones, after start-up: from the moment when
    the last party has its inputs until the last one has ended. In a governed run, until the last
    receipt is stored (goal 1.02 for SPU, 1.05 for Rosetta).
seconds
    Of each run, after start-up.
mb
    Millions of bytes that the engines of one governed run have sent to each other.
auc
    Of the governed model on held-out rows; `auc_bare` of the other one.

The number of epochs is chosen by a short bare run, so that the training lasts ``--seconds``; a
checkpoint lies between stages of about a sixth of it.
"""

import argparse
import contextlib
import json
import math
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from benchmarks.mpc_bare import Bare, Ended, OpenRosetta, PlainLink
from datatoken.errors import BadInputError, RunFailedError
from datatoken.types import Hex32, Scalar
from examples.support.credit import KEY, load_credit
from examples.support.mpc.consent import ask_all, post
from examples.support.mpc.hosts import engine_python
from examples.support.mpc.runs import Runs
from examples.support.mpc.watch import Part, bytes_sent
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
from rtt_tracer.engines.base import Engine, Role
from rtt_tracer.engines.spu import SpuEngine
from rtt_tracer.operations.reading import auc
from rtt_tracer.requester import make_wish
from rtt_tracer.tables import PrivateTable, open_table

SHARE, JOINT, ROSETTA = "secret_sharing", "logistic_regression", "logistic_regression_rosetta"
LABEL = "default"
MOST_EPOCHS = 200
STAGES = 6
PROBED = 3
"""Epochs of the short run: the second one is pure work."""


class Opening(Engine, Protocol):
    """An engine that opens results."""

    def reconstruct(self, shares: Sequence[Path], out: Path) -> None:
        """Open results; see `SpuEngine.reconstruct`."""
        ...


@dataclass(frozen=True)
class Setting:
    """One engine with one protocol.

    Attributes
    ----------
    computes : sequence of str
        Whose computes take part.
    """

    name: str
    protocol: str
    computes: Sequence[str]
    goal: float

    @property
    def rosetta(self) -> bool:
        """Whether data parties compute themselves."""
        return self.name == "rosetta"

    @property
    def linked(self) -> str:
        """The operation that the linked parties run."""
        return ROSETTA if self.rosetta else JOINT

    def stages(self) -> list[dict[str, str]]:
        """Return the workflow: asset → operation, stage by stage."""
        computes = {f"{name}-compute": self.linked for name in self.computes}
        if self.rosetta:
            return [{"A-data": ROSETTA, "B-data": ROSETTA, **computes}]
        return [{"A-data": SHARE, "B-data": SHARE}, computes]


SETTINGS = (
    Setting("spu_aby3", "ABY3", "ABD", 1.02),
    Setting("spu_securenn", "SECURENN", "ABD", 1.02),
    Setting("spu_cheetah", "CHEETAH", "AB", 1.02),
    Setting("rosetta", "SecureNN", "D", 1.05),
)


@dataclass
class Found:
    """What was measured of one engine."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"governed": [], "bare": []})
    auc: dict[str, float] = field(default_factory=dict)
    mb: float = 0.0
    epochs: int = 0

    def plain(self) -> dict[str, Any]:
        """Return the figures."""
        governed, bare = (sum(self.seconds[side]) for side in ("governed", "bare"))
        return {
            "ratio": round(governed / bare, 3),
            "seconds": {k: [round(s, 2) for s in took] for k, took in self.seconds.items()},
            "mb": round(self.mb, 1),
            "auc": round(self.auc["governed"], 4),
            "auc_bare": round(self.auc["bare"], 4),
            "epochs": self.epochs,
        }


@dataclass
class Bench:
    """The governed world, running, and what bare runs take from it."""

    world: CreditWorld
    runs: Runs
    folder: Path
    link: str
    count: int = 0

    def governed(self, job: Hex32, parameters: Mapping[str, Scalar], found: Found) -> None:
        """Run under the gates."""
        ran = self.runs.run(job, parameters)
        found.seconds["governed"].append(governed_seconds(ran.parts))
        found.auc["governed"] = auc(ran.values["histogram"])
        found.mb = bytes_sent(ran.parts) / 1e6

    def bare(self, setting: Setting, job: Hex32, parameters: Mapping[str, Scalar]) -> list[Ended]:
        """Run with nobody's permission; the effective parameters are those of a governed run."""
        self.count += 1
        site = self.world.site(self.world.accounts["C"])
        wish = make_wish(site, job, parameters)
        roles = {document.name: document for document in wish.operations.values()}
        bundles = {
            role: (site.store.get(document.bundle, 2**20), entry)
            for document in roles.values()
            for role, entry in document.entry_points.items()
        }
        linked = Role.ROSETTA if setting.rosetta else Role.SPU_COMPUTE
        return Bare(
            engine=self.engine(setting),
            tables=[self.table(bank) for bank in ("A", "B")],
            sharing=None if setting.rosetta else bundles[Role.SPU_SHARE],
            linked=bundles[linked],
            parties=len(setting.computes) + (2 if setting.rosetta else 0),
            protocol=setting.protocol,
            parameters=wish.plan.parameters,
        ).run(self.folder / f"bare-{self.count}")

    def engine(self, setting: Setting) -> Opening:
        """Return the engine of bare runs."""
        if setting.rosetta:
            return OpenRosetta(engine_python("rosetta"))
        python = engine_python("spu")
        return PlainLink(python) if self.link == "plain" else SpuEngine(python)

    def table(self, bank: str) -> PrivateTable:
        """Return a bank's table as its party opens it."""
        source = self.world.hosts[f"{bank}-private"].folder / "rows.csv"
        return open_table(str(source), KEY, self.world.credit.schema(bank))

    def auc(self, setting: Setting, ended: Sequence[Ended]) -> float:
        """Open what bare runs have left."""
        out = self.folder / f"bare-{self.count}.npz"
        folders = [one.folder / "out" / "results" for one in ended]
        self.engine(setting).reconstruct(folders, out)
        with np.load(out, allow_pickle=False) as values:
            return auc(values["histogram"])


def governed_seconds(parts: Sequence[Part]) -> float:
    """Return the seconds from the last party's inputs to the last party's last receipt."""

    def last(name: str, pick: int) -> float:
        found = []
        for part in parts:
            times = [
                datetime.fromisoformat(event["time"]).timestamp()
                for event in part.events
                if event["event"] == name
            ]
            if not times:
                raise RunFailedError(f"{part.asset} has not noted any {name}.")
            found.append(times[pick])
        return max(found)

    return last("stored", -1) - last("checkpoint", 0)


def bare_seconds(ended: Sequence[Ended]) -> float:
    """Return the seconds from the last party's inputs to the last party's end."""
    return max(one.ended for one in ended) - max(one.checkpoints[0] for one in ended)


@contextlib.contextmanager
def governed_world(
    folder: Path, rows: int, settings: Sequence[Setting]
) -> Iterator[tuple[CreditWorld, dict[str, Hex32]]]:
    """Start everything and post a job for each setting; stop everything."""

    def quiet(text: str) -> None:
        """Say nothing."""

    operations = {SHARE, *(setting.linked for setting in settings)}
    with Processes(folder / "logs") as processes:
        world = start_world(folder, load_credit(rows), processes, ("A", "B", "C", "D"), quiet)
        world.most_epochs = MOST_EPOCHS
        try:
            for name in sorted(operations):
                register_operation(world, OPERATIONS / name)
            private = operations - {JOINT}
            for bank in ("A", "B"):
                add_host(world, bank, "private")
                publish_data(world, bank, sorted(private))
            for provider in ("A", "B", "D"):
                add_host(world, provider, "federated")
                publish_compute(world, provider, sorted(operations - {SHARE}))
            names = {setting.name: _compose(world, setting) for setting in settings}
            start_services(world)
            yield world, {name: _post(world, algorithm) for name, algorithm in names.items()}
        finally:
            world.close()


def _compose(world: CreditWorld, setting: Setting) -> str:
    name = f"Credit model, {setting.name}"
    operation = ROSETTA if setting.rosetta else SHARE
    publish_algorithm(world, name, setting.stages(), parameters={operation: {"label": LABEL}})
    return name


def _post(world: CreditWorld, algorithm: str) -> Hex32:
    ask_all(world, world.dts[algorithm])
    return post(world, algorithm, world.dts[algorithm])


def probe(bench: Bench, setting: Setting, job: Hex32, seconds: float) -> dict[str, Scalar]:
    """Return the parameters of a training of about `seconds`."""
    short: dict[str, Scalar] = {
        "protocol": setting.protocol,
        "epochs": PROBED,
        "checkpoint-every": 1,
    }
    ended = bench.bare(setting, job, short)
    epoch = max(one.checkpoints[2] - one.checkpoints[1] for one in ended)
    wanted = min(MOST_EPOCHS, max(2, math.ceil(seconds / epoch)))
    every = max(1, round(wanted / STAGES))
    # Whole stages, within what the operation allows.
    epochs = min(math.ceil(wanted / every), MOST_EPOCHS // every) * every
    _tell(f"{setting.name}: {epoch:.2f} s an epoch; {epochs} epochs, a checkpoint every {every}.")
    return {"protocol": setting.protocol, "epochs": epochs, "checkpoint-every": every}


def measure(bench: Bench, setting: Setting, job: Hex32, seconds: float, repeats: int) -> Found:
    """Run both sides in turn; which one begins alternates."""
    found = Found()
    parameters = probe(bench, setting, job, seconds)
    found.epochs = int(parameters["epochs"])
    for repeat in range(repeats):
        for side in ("governed", "bare") if repeat % 2 == 0 else ("bare", "governed"):
            if side == "governed":
                bench.governed(job, parameters, found)
            else:
                ended = bench.bare(setting, job, parameters)
                found.seconds["bare"].append(bare_seconds(ended))
                found.auc["bare"] = bench.auc(setting, ended)
            _tell(f"{setting.name}, {side} run {repeat + 1}: {found.seconds[side][-1]:.1f} s")
    return found


def _tell(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _settings(names: str) -> list[Setting]:
    known = {setting.name: setting for setting in SETTINGS}
    wanted = [name.strip() for name in names.split(",") if name.strip()] or list(known)
    if unknown := sorted(set(wanted) - known.keys()):
        raise BadInputError(f"No such engine: {', '.join(unknown)}.", f"Known: {', '.join(known)}.")
    return [known[name] for name in wanted]


def main() -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.add_argument("--seconds", type=float, default=60.0, help="of one bare training")
    parser.add_argument("--repeats", type=int, default=2, help="runs of each side (default 2)")
    parser.add_argument("--rows", type=int, default=30_000)
    parser.add_argument("--engines", default="", help="names with commas between (default: all)")
    parser.add_argument(
        "--link", choices=("relay", "plain"), default="relay", help="of bare SPU runs"
    )
    given = parser.parse_args()
    figures = {}
    try:
        settings = _settings(given.engines)
        with (
            tempfile.TemporaryDirectory(prefix="mpc-overhead-") as folder,
            governed_world(Path(folder), given.rows, settings) as (world, jobs),
        ):
            bench = Bench(world, Runs(world), Path(folder), given.link)
            for setting in settings:
                found = measure(bench, setting, jobs[setting.name], given.seconds, given.repeats)
                figures[setting.name] = found.plain()
                _show(setting, figures[setting.name])
    except (BadInputError, RunFailedError) as error:
        sys.exit(f"{error.code}: {error.diagnostics()}")
    if given.json:
        print(json.dumps({**figures, "rows": given.rows, "link": given.link}))


def _show(setting: Setting, figures: Mapping[str, Any]) -> None:
    print(
        f"{setting.name:13s} ratio {figures['ratio']:.3f} (goal {setting.goal:g})  "
        f"{figures['mb']:,.1f} MB  AUC {figures['auc']:.3f} (bare {figures['auc_bare']:.3f})",
        flush=True,
    )


if __name__ == "__main__":
    main()
