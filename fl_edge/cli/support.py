"""What the commands share: errors as one sentence and a documented exit code, passwords."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from datatoken.errors import DataTokenError, KeystoreError
from datatoken.passwords import read_password as first_line


@contextmanager
def exit_codes() -> Iterator[None]:
    """Turn an error of the SDK into one line on stderr and its exit code."""
    try:
        yield
    except DataTokenError as error:
        typer.echo(f"{error.code}: {error.diagnostics()}", err=True)
        raise typer.Exit(int(error.exit_code)) from None


def read_password(path: Path | None, what: str) -> str:
    """Return a password from a file, or ask for it on a terminal.

    Raises
    ------
    KeystoreError
        The file can't be read, or there is neither a file nor a terminal.
    """
    if path is None:
        if not sys.stdin.isatty():
            raise KeystoreError(
                f"There is no password for {what}.", "Name a file that holds it: --password-file."
            )
        return str(typer.prompt(f"Password of {what}", hide_input=True))
    return first_line(path)
