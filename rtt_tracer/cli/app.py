"""The command ``rtt-tracer``: one thin module a command."""

import sys
from collections.abc import Sequence

import typer

from datatoken.cli.errors import run
from rtt_tracer.cli import ask, party, publish, service
from rtt_tracer.cli import run as run_command

app = typer.Typer(
    name="rtt-tracer",
    help="Run secure multi-party computation under the gates of the data owners.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
publish.register(app)
service.register(app)
ask.register(app)
party.register(app)
run_command.register(app)


@app.callback()
def _root() -> None:
    """Run secure multi-party computation under the gates of the data owners."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``rtt-tracer`` and leave with a documented exit code."""
    sys.exit(run(app, "rtt-tracer", arguments))
