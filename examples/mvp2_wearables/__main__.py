"""MVP 2 as a command: ``python -m examples.mvp2_wearables`` (``make demo``)."""

import argparse
import sys
from collections.abc import Sequence

from datatoken.chain.profiles import BUILT_IN
from examples.mvp2_wearables.demo import Options, run_demo
from examples.support.command import add_common_options, dated_folder, run_command
from examples.support.ground import DEFAULT_NETWORK


def parse(arguments: Sequence[str] | None = None) -> tuple[Options, bool]:
    """Read the command line; return the options and whether JSON is wanted."""
    parser = argparse.ArgumentParser(
        prog="python -m examples.mvp2_wearables",
        description="Train a heart model on users' devices, under grants on a real chain, each "
        "round logged; then see what is refused.",
        epilog="Exit codes: 0 done, 130 interrupted, else as in docs/reference/exit-codes.md.",
    )
    parser.add_argument("--users", type=int, default=4, help="devices (default 4)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default 5)")
    parser.add_argument(
        "--data",
        choices=("heart", "ecg"),
        default="heart",
        help="heart: UCI rows dealt out to simulated users; ecg: one real person of the MIT-BIH "
        "set a device (found in DATATOKEN_DATA or the user's cache)",
    )
    parser.add_argument(
        "--tensorflow", action="store_true", help="EdgeComp in Keras instead of NumPy"
    )
    parser.add_argument(
        "--no-refusals", action="store_true", help="stop after the rounds and the trace"
    )
    parser.add_argument(
        "--network",
        choices=[name for name, profile in BUILT_IN.items() if profile.stand_in],
        default=DEFAULT_NETWORK,
        help="the local chain: anvil, or a stand-in with the rules of a PlatON node",
    )
    add_common_options(parser)
    given = parser.parse_args(arguments)
    if not 2 <= given.users <= 64 or not 1 <= given.rounds <= 30:
        parser.error("--users takes 2 to 64, --rounds 1 to 30")
    options = Options(
        users=given.users,
        rounds=given.rounds,
        data=given.data,
        client="edgecomp_keras" if given.tensorflow else "edgecomp_numpy",
        refusals=not given.no_refusals,
        folder=dated_folder(given.out),
        network=given.network,
        store=given.store,
    )
    return options, given.json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; return the exit code."""
    options, as_json = parse(arguments)
    return run_command(lambda console: run_demo(options, console), as_json=as_json)


if __name__ == "__main__":
    sys.exit(main())
