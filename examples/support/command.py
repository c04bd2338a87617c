"""A demo as a command: its console, its end by Ctrl-C, its last line as JSON."""

import argparse
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from rich.console import Console

from datatoken.errors import DataTokenError, LocalEnvironmentError

INTERRUPTED = 130
PLAIN_WIDTH = 110


class AsJson(Protocol):
    """What a demo returns."""

    def as_json(self) -> str:
        """Return one line of JSON."""
        ...


def add_common_options(parser: argparse.ArgumentParser) -> None:
    """Add ``--store``, ``--out`` and ``--json``."""
    parser.add_argument(
        "--store",
        metavar="ADDRESS",
        help="RPC API of an IPFS node, such as http://127.0.0.1:5001 (default: a folder)",
    )
    parser.add_argument(
        "--out", type=Path, default=Path("demo-output"), help="folder for logs and pictures"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )


def dated_folder(out: Path) -> Path:
    """Return the folder of one run."""
    return (out / time.strftime("%Y%m%d-%H%M%S")).resolve()


def make_folder(folder: Path) -> None:
    """Make the folder of one run; raise `LocalEnvironmentError`."""
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The folder {folder} can't be made: {error.strerror}.", "Name one with --out."
        ) from None


def run_command(demo: Callable[[Console], AsJson], *, as_json: bool) -> int:
    """Run a demo with every ending tidy; return the exit code."""
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console.width = PLAIN_WIDTH
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        outcome = demo(console)
    except KeyboardInterrupt:
        console.print("\nInterrupted; every process that was started is stopped.")
        return INTERRUPTED
    except DataTokenError as error:
        console.print(f"[red]{error.code}[/red]: {error.diagnostics()}", highlight=False)
        return int(error.exit_code)
    if as_json:
        print(outcome.as_json(), flush=True)
    return 0


def _interrupt(number: int, frame: object) -> None:
    """End on a SIGTERM as on a Ctrl-C: with every process stopped."""
    raise KeyboardInterrupt
