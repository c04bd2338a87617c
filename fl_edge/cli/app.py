"""The command ``fl-edge``: one thin module a command."""

import typer

from fl_edge.cli import supernode

app = typer.Typer(
    name="fl-edge",
    help="Run Flower under the gate of the data owner.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
supernode.register(app)


@app.callback()
def _root() -> None:
    """Run Flower under the gate of the data owner."""


def main() -> None:
    """Run ``fl-edge``."""
    app()
