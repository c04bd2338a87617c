"""The command ``fl-edge``: one thin module a command."""

import sys
from collections.abc import Sequence

import typer

from datatoken.cli.errors import run
from fl_edge.cli import gate_proxy, publish, service, simulate, submit, superlink, supernode
from fl_edge.cli import run as run_command

app = typer.Typer(
    name="fl-edge",
    help="Run Flower under the gate of the data owner.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)
publish.register(app)
superlink.register(app)
supernode.register(app)
gate_proxy.register(app)
run_command.register(app)
simulate.register(app)
service.register(app)
submit.register(app)


@app.callback()
def _root() -> None:
    """Run Flower under the gate of the data owner."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run ``fl-edge`` and leave with a documented exit code."""
    sys.exit(run(app, "fl-edge", arguments))
