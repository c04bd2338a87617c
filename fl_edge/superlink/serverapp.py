"""``flwr-serverapp`` under the owners' terms: every `Strategy.start` is a governed one.

The SuperLink's launcher puts this in the place of flwr's own command, so that a ServerApp whose
author never heard of us fails loudly as well, and what it aggregates is named. The process holds
no key: it reads the run's terms from the spool and writes its claims there.
"""

import inspect
import os
import sys
import time
from collections.abc import Callable
from logging import INFO
from pathlib import Path
from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.serverapp.strategy.result import Result
from flwr.supercore import log

from datatoken.errors import BadInputError, DataTokenError, LocalEnvironmentError
from fl_edge.strategy.governed import GovernedStrategy
from fl_edge.strategy.spool import SPOOL_VARIABLE, RunTerms, Spool, arrays_from_npz
from fl_edge.superlink import seams

WAIT_FOR_TERMS = 15.0


def install(spool_of: Callable[[int], Spool]) -> None:
    """Replace `Strategy.start` by one that wraps the strategy in a `GovernedStrategy`.

    Parameters
    ----------
    spool_of : callable
        Returns the folder of a run.

    Raises
    ------
    LocalEnvironmentError
        When flwr's strategies are not as they are known here.
    """
    seams.check_app()
    governed_start = GovernedStrategy.start

    def start(
        self: Strategy, grid: Grid, initial_arrays: ArrayRecord, *more: Any, **options: Any
    ) -> Result:
        spool = spool_of(grid.run.run_id)
        terms = wait_for_terms(spool)
        strategy = govern(self, terms, spool)
        arrays = first_arrays(terms, initial_arrays)
        return governed_start(strategy, grid, arrays, *more, **options)

    start.governs = True  # type: ignore[attr-defined]
    start.__signature__ = inspect.signature(governed_start)  # type: ignore[attr-defined]
    Strategy.start = start  # type: ignore[method-assign]
    GovernedStrategy.start = start  # type: ignore[method-assign]


def govern(strategy: Strategy, terms: RunTerms, spool: Spool) -> GovernedStrategy:
    """Return the strategy under the run's terms; one that its author governs keeps the stricter."""
    asked, inner = terms.minimum, strategy
    if isinstance(strategy, GovernedStrategy):
        asked, inner = max(asked, strategy.min_participants), strategy.inner
    offset = terms.start.round if terms.start else 0
    return GovernedStrategy(inner, min_participants=asked, claims=spool, offset=offset)


def first_arrays(terms: RunTerms, initial: ArrayRecord) -> ArrayRecord:
    """Return the arrays that the run starts from: the app's own, or the last logged aggregate.

    Raises
    ------
    BadInputError
        When the aggregate is not the logged one, or not of the app's shapes.
    """
    if terms.start is None:
        return initial
    arrays = arrays_from_npz(Path(terms.start.path).read_bytes(), terms.start.digest)
    if _shapes(arrays) != _shapes(initial):
        raise BadInputError("The logged aggregate has other names, types or shapes than the app's.")
    log(INFO, "Starting from the logged aggregate %s…", terms.start.digest[:10])
    return arrays


def wait_for_terms(spool: Spool, seconds: float = WAIT_FOR_TERMS) -> RunTerms:
    """Return the run's terms; the SuperLink writes them as it admits the run."""
    deadline = time.monotonic() + seconds
    while (terms := spool.terms()) is None:
        if time.monotonic() > deadline:
            raise LocalEnvironmentError("This SuperLink has not admitted the run; it is not run.")
        time.sleep(0.1)
    return terms


def main() -> None:
    """Run flwr's own command with governed strategies."""
    folder = os.environ.get(SPOOL_VARIABLE)
    try:
        if not folder:
            raise LocalEnvironmentError(f"{SPOOL_VARIABLE} is not set: start fl-edge superlink.")
        install(lambda run: Spool(Path(folder), run))
    except DataTokenError as error:
        print(error.diagnostics(), file=sys.stderr)
        raise SystemExit(int(error.exit_code)) from None
    from flwr.superlink.cli.flwr_serverapp import flwr_serverapp

    flwr_serverapp()


def _shapes(arrays: ArrayRecord) -> list[tuple[str, str, tuple[int, ...]]]:
    return [(name, array.dtype, tuple(array.shape)) for name, array in arrays.items()]


if __name__ == "__main__":
    main()
