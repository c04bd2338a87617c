"""The command ``datatoken``: every module here is one thin command."""

import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Annotated

import typer

from datatoken.cli import (
    backup,
    doctor,
    dt,
    grant,
    institution,
    job,
    key,
    network,
    op,
    recorder,
    review,
    task,
    trace,
    up,
    verify,
)
from datatoken.cli.errors import run
from datatoken.cli.session import Command

app = typer.Typer(
    name="datatoken",
    help=(
        "Compute together on data that never leaves its owner, under consent on a chain.\n\n"
        "Start here: `datatoken up --detach`, then `datatoken institution add --help`. "
        "Every command explains itself by `--help`, with examples; `--format json` gives "
        "what a program can read. Settings: flag, else environment (`DATATOKEN_…`), "
        "else `datatoken.toml`."
    ),
    no_args_is_help=True,
    rich_markup_mode="markdown",
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"datatoken {version('datatoken')}")
        raise typer.Exit


@app.callback()
def _root(
    version_: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    pass


app.command(cls=Command)(up.up)
app.command(cls=Command)(up.down)
app.command(cls=Command)(up.status)
app.command(cls=Command)(doctor.doctor)
app.command(cls=Command)(backup.backup)
app.command(cls=Command)(backup.restore)
app.command(cls=Command)(network.network)
app.command(cls=Command)(network.deploy)
app.command(cls=Command)(recorder.recorder)
app.add_typer(key.app, name="key")
app.add_typer(institution.app, name="institution")
app.add_typer(institution.user_app, name="user")
app.add_typer(op.app, name="op")
app.add_typer(dt.app, name="dt")
app.command("review", cls=Command)(review.review_command)
app.command(cls=Command)(grant.grant)
app.command(cls=Command)(grant.revoke)
app.command(cls=Command)(grant.relay)
app.command(cls=Command)(grant.delegate)
app.add_typer(task.app, name="task")
app.add_typer(job.app, name="job")
app.command(cls=Command)(trace.inbox)
app.command(cls=Command)(trace.trace)
app.add_typer(verify.app, name="verify")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``datatoken`` and leave with a documented exit code."""
    sys.exit(run(app, "datatoken", arguments))
