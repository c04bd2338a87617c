"""``fl-edge simulate``: a job's app on Flower's simulation engine, behind every owner's gate."""

import os
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from datatoken.cli.arguments import hex32, pairs
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Command, Session
from datatoken.errors import BadInputError
from datatoken.roles.site import Site
from datatoken.types import Hex32, Scalar
from fl_edge.cli.progress import RoundProgress
from fl_edge.cli.publish import describe
from fl_edge.cli.run import split
from fl_edge.control.plan import make_plan
from fl_edge.fab.shipped import operation_folder

if TYPE_CHECKING:
    from fl_edge.simulation.run import Simulated, Simulation

BANNER = (
    "SIMULATION, NO ENFORCEMENT: one process holds all clients and their data; "
    "the gates only tell what those of a real run would decide."
)
MAX_CLIENTS = 100_000
HELP = """Simulate a job: its app on Flower's simulation engine, behind every owner's gate.

Tells before a real run what will happen in it: which owners refuse, for which reason, and what
is learned from the rest. The app is built from the registered bundles, the SuperLink's gate
decides on each round at a fresh view, every client on each message by the terms and grants of
the DT that it stands for, and replies are held against the operation's policy.

**It is no enforcement.** One process holds all clients and whatever data they are given. Nothing
is signed, logged, counted or sent to the chain.

Client `i` stands for the owner of the composite's DT `i`, counted around where there are more
clients than DTs. With ``--sandbox`` there is no job yet: a chain is started and thrown away
afterwards, on which as many simulated owners as there are clients grant everything to the app
(a folder or a shipped operation; client side and server side are named one after the other).

**Examples**

    fl-edge simulate 0xJOB…

    fl-edge simulate 0xJOB… --clients 100 --node-config data=rows/{client}.npz --format json

    fl-edge simulate --sandbox ./my-flower-app --clients 1000 -c num-server-rounds=3

    fl-edge simulate --sandbox edgecomp_numpy --sandbox fedaverage --clients 10 \\
        --node-config data=rows/{client}.npz

``ray`` (the extra ``simulation``) spreads clients over the cores, ``inline`` runs them one after
another in this process; without Ray, inline is taken.

**Exit codes**: 0 the run is complete (owners may have refused), 2 usage, 3 bad input, 4 refused:
the SuperLink's gate or too few owners ended the run, 5 chain out of reach, 6 store, 8 flwr
version or folder, 10 the app failed.
"""


class BackendName(StrEnum):
    """Where clients compute."""

    RAY = "ray"
    INLINE = "inline"


def simulate(
    job: Annotated[
        str | None, typer.Argument(parser=hex32, metavar="[JOB]", help="The job.")
    ] = None,
    sandbox: Annotated[
        list[str] | None,
        typer.Option(metavar="DIR", help="Build a throw-away world for this app instead."),
    ] = None,
    clients: Annotated[
        int | None,
        typer.Option(min=1, max=MAX_CLIENTS, help="Clients; by default one for each DT, or 10."),
    ] = None,
    run_config: Annotated[
        list[str] | None,
        typer.Option("--run-config", "-c", metavar="KEY=VALUE", help="Override; may be repeated."),
    ] = None,
    node_config: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Of every client, {client} replaced by its number."),
    ] = None,
    request: Annotated[
        str | None,
        typer.Option(
            parser=hex32, metavar="DIGEST", help="The compute request, where none is announced."
        ),
    ] = None,
    backend: Annotated[
        BackendName | None, typer.Option(help="By default ray where it is installed.")
    ] = None,
    cpus: Annotated[
        int | None, typer.Option(min=1, max=1024, help="Ray's workers; by default all cores.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(min=0, help="For the server's random choices (random, NumPy).")
    ] = None,
) -> None:
    """Simulate a job's app behind every owner's gate; no enforcement."""
    from fl_edge.simulation.engine import Setting
    from fl_edge.simulation.facts import read_facts
    from fl_edge.simulation.run import Simulation
    from fl_edge.simulation.seams import choose_backend

    if (job is None) == (not sandbox):
        raise BadInputError("Name a job, or an app with --sandbox: one of the two.")
    session = Session.current()
    session.output.errors.print(f"[bold yellow]{BANNER}[/bold yellow]")
    chosen, overrides = choose_backend(backend), split(run_config)
    configs = pairs(node_config)
    with _world(session, job, sandbox or [], clients, overrides) as (site, found):
        with session.output.progress("Reading the job …"):
            known = read_facts(site, make_plan(site, found, overrides), request)
        number = clients or len(known.leaves)
        with RoundProgress(session.output) as progress:
            setting = Setting(
                clients=number,
                backend=chosen,
                cpus=cpus or os.cpu_count() or 1,
                seed=seed,
                node_config=lambda client: _for_client(configs, client),
                log=progress.line,
            )
            simulation = Simulation(site, known, setting)
            try:
                done = simulation.run()
            finally:
                _tell_refusals(session, simulation)
    shown = {
        "enforcement": False,
        "backend": chosen,
        "clients": number,
        "dts": len(known.leaves),
        "job": found,
        "request": known.request.digest(),
    }
    _show(session, shown, done)


@contextmanager
def _world(
    session: Session,
    job: Hex32 | None,
    sandbox: list[str],
    clients: int | None,
    overrides: Mapping[str, Scalar],
) -> Iterator[tuple[Site, Hex32]]:
    """Yield the site and the job: those of the settings, or of a throw-away world."""
    if job is not None:
        yield session.site, job
        return
    from fl_edge.simulation.sandbox import Sandbox

    if len(sandbox) > 2:
        raise BadInputError("--sandbox names an app, or a client side and a server side.")
    parts = [describe(operation_folder(name), None) for name in sandbox]
    with (
        tempfile.TemporaryDirectory(prefix="fl-sandbox-") as folder,
        Sandbox.build(
            Path(folder), parts, clients or 10, overrides, tell=session.output.note
        ) as world,
    ):
        yield world.site("simulation"), world.job


def _for_client(configs: Mapping[str, Scalar], client: int) -> dict[str, Scalar]:
    return {
        key: value.replace("{client}", str(client)) if isinstance(value, str) else value
        for key, value in configs.items()
    }


def _tell_refusals(session: Session, simulation: "Simulation") -> None:
    """Say who refused and why, also where the run was ended by it."""
    found = Counter((r.reason.value, r.message) for r in simulation.gates.refusals)
    for (reason, message), count in found.most_common(10):
        session.output.note(f"{count} x {reason}: {message}")
    if len(found) > 10:
        session.output.note(f"… and {len(found) - 10} more reasons (--format json has them all).")


def _show(session: Session, known: dict[str, Any], done: "Simulated") -> None:
    aggregate = done.learned.aggregate
    rounds = table("round", "kind", "sent", "refused", "seconds")
    for one in done.rounds:
        row(rounds, one.number, one.kind.value, one.sent, sum(one.refused.values()), one.seconds)
    result = {
        **known,
        "status": "completed",
        "seconds": done.seconds,
        "aggregate": aggregate,
        "rounds": done.rounds,
        "refusals": done.refusals,
        "metrics": done.learned.metrics(),
    }
    shown = facts({**known, "status": "completed", "aggregate": aggregate})
    session.output.result(result, shown, "", rounds)


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("simulate", help=HELP, cls=Command)(simulate)
