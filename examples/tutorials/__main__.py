"""Make the tutorials' notebooks and run them: ``make notebooks``."""

import argparse
import sys

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
        if parsed.no_run:
            print(f"{path.name}: made")
            continue
        print(f"{path.name}: running …", flush=True)
        done = run_notebooks([path])
        failed |= done.returncode
        print(done.stdout if done.returncode else f"{path.name}: all its assertions hold")
    return 10 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
