"""MVP 1 as a command: ``python -m examples.mvp1_banks`` (``make demo-mpc``)."""

import argparse
import sys
from collections.abc import Sequence

from examples.mvp1_banks.story import ROWS, Options
from examples.support.command import add_common_options, dated_folder, run_command


def parse(arguments: Sequence[str] | None = None) -> tuple[Options, bool]:
    """Read the command line; return the options and whether JSON is wanted."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.mvp1_banks",
        description="Two banks and a fintech train a credit-default model on shares, under grants "
        "on a real chain; then see what is refused.",
        epilog="Exit codes: 0 done, 130 interrupted, else as in docs/reference/exit-codes.md.",
    )
    parser.add_argument(
        "--protocol",
        choices=tuple(ROWS),
        default="ABY3",
        help="ABY3 and SECURENN: with a third compute provider; CHEETAH: the two banks alone, "
        "with exactly four DTs (default ABY3)",
    )
    counts = ", ".join(f"{name} {rows:,}" for name, rows in ROWS.items())
    parser.add_argument(
        "--rows",
        type=int,
        help=f"customers; the data set has 30,000 (default: {counts}; fewer where it has fewer)",
    )
    parser.add_argument("--epochs", type=int, default=5, help="epochs (default 5)")
    parser.add_argument(
        "--no-refusals", action="store_true", help="stop after the training and the trace"
    )
    add_common_options(parser)
    given = parser.parse_args(arguments)
    if not 3 <= given.epochs <= 20:
        parser.error("--epochs takes 3 to 20: one epoch is one round, two lie between revocations")
    if given.rows is not None and not 1000 <= given.rows <= 30_000:
        parser.error("--rows takes 1,000 to 30,000")
    options = Options(
        protocol=given.protocol,
        rows=given.rows,
        epochs=given.epochs,
        refusals=not given.no_refusals,
        folder=dated_folder(given.out),
        store=given.store,
    )
    return options, given.json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    options, as_json = parse(arguments)
    from examples.mvp1_banks.demo import run_demo

    return run_command(lambda console: run_demo(options, console), as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
