"""The command ``fl-edge``: one thin module a command."""

import typer

app = typer.Typer(
    name="fl-edge",
    help="Run Flower under the gate of the data owner.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)


def main() -> None:
    """Run ``fl-edge``."""
    app()
