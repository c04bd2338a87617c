"""Make the tutorials' notebooks and run them: ``make notebooks``."""

import argparse
import sys

from datatoken.errors import LocalEnvironmentError
from examples.support.mpc.hosts import check_engine
from examples.tutorials.notebooks import TUTORIALS, make_notebook, run_notebooks


def _parse_args(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make notebooks ARGS=…", description=__doc__)
    parser.add_argument("names", nargs="*", help=f"any of {', '.join(TUTORIALS)}; default: all")
    parser.add_argument("--no-run", action="store_true", help="make them, without outputs")
    parsed = parser.parse_args(arguments)
    if unknown := sorted(set(parsed.names) - set(TUTORIALS)):
        parser.error(f"there is no tutorial {unknown[0]}; there are {', '.join(TUTORIALS)}")
    return parsed


def main(arguments: list[str]) -> int:
    """Make and run; return the exit code."""
    parsed = _parse_args(arguments)
    failed = 0
    for name in parsed.names or TUTORIALS:
        path = make_notebook(name)
        why_not = "" if parsed.names else _why_not(name)
        if parsed.no_run or why_not:
            print(f"{path.name}: made{why_not and f', not run: {why_not}'}")
            continue
        print(f"{path.name}: running …", flush=True)
        done = run_notebooks([path])
        failed |= done.returncode
        print(done.stdout if done.returncode else f"{path.name}: all its assertions hold")
    return 10 if failed else 0


def _why_not(name: str) -> str:
    """Return why a tutorial that nobody asked for by name can't be run here; empty if it can."""
    try:
        check_engine("rosetta" if name.endswith("rosetta") else "spu")
    except LocalEnvironmentError as error:
        return f"{error.message} {error.hint}"
    return ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
