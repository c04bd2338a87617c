"""``rtt-tracer party``: one party of an MPC run under its owner's gate."""

import json
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from datatoken.cli.arguments import hex32
from datatoken.cli.settings import Format

HELP = """Take part in an MPC run with one asset: the owner's gate, the engine, the peers.

Before anything runs, the gate asks the chain whether the job is posted and granted **now**,
holds the request, the registered bytes and the parameters against your terms, and only then
introduces this party to the others at the job's recorder. All parties agree on one hash before
a share leaves this host; every stage needs a fresh permission; a stage counts once all
parties have signed it.

**You need** a settings file (party.toml) that names the DT, deployment, store, state folder,
node key and delegation, and for a data DT the table. See docs/parties.md.

**Example**

    rtt-tracer party --config bank-a-data.toml --job 0xJOB… --request 0xREQUEST…

The run's folder ``<state>/runs/<run>/`` holds status.json, events.jsonl, engine.log and results.
SIGTERM stops the run at all parties.

**Exit codes**: 0 the run has finished, 2 usage, 3 bad input, 4 refused by the own gate, 5 chain
out of reach or another chain, 6 store, 7 key or password, 8 folder, port or engine, 10 the run was
stopped or has failed; with its reason as a code, such as ``GRANT_REVOKED``.
"""


def party(
    config: Annotated[Path, typer.Option(help="Settings of the party (party.toml).")],
    job: Annotated[str, typer.Option(parser=hex32, metavar="JOB", help="The job's id (0x…).")],
    request: Annotated[
        str,
        typer.Option(
            parser=hex32, metavar="DIGEST", help="The compute request, by its digest (0x…)."
        ),
    ],
    format_: Annotated[
        Format, typer.Option("--format", help="json: the final status on stdout.")
    ] = Format.DEFAULT,
) -> None:
    """Take part in an MPC run with one asset."""
    from datatoken.authorization.reasons import Refused
    from datatoken.authorization.request import run_id
    from datatoken.service.running import configure_logging
    from rtt_tracer.party.run import Party
    from rtt_tracer.party.steps import outcome_of
    from rtt_tracer.settings import load_party

    settings = load_party(config)
    configure_logging(dt=settings.dt, job=job, run=run_id(request))
    made = Party(settings, job, request)

    def stop(number: int, frame: FrameType | None) -> None:
        made.stop()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    try:
        outcome = made.run()
    except Refused as refused:  # before there was a run
        outcome = outcome_of(refused)
    if format_ is Format.JSON:
        sys.stdout.write(json.dumps(dict(made.status), indent=1) + "\n")
    if outcome.reason is not None:
        typer.echo(f"{outcome.state.value}: {outcome.reason}: {outcome.sentence}", err=True)
    raise typer.Exit(int(outcome.code))


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("party", help=HELP)(party)
