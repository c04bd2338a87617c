"""`Strategy.start` for the time of one simulated run: governed, and what it makes is kept."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flwr.app import ArrayRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.serverapp.strategy.result import Result

from datatoken.types import Hex32
from fl_edge.simulation.swap import swapped
from fl_edge.strategy.governed import GovernedStrategy
from fl_edge.strategy.spool import digest_of
from fl_edge.superlink import seams


@dataclass
class Learned:
    """What the strategies of one run have made; an app may start several."""

    results: list[Result] = field(default_factory=list)

    @property
    def arrays(self) -> ArrayRecord | None:
        """The last model, or None where no strategy came to its end."""
        return self.results[-1].arrays if self.results else None

    @property
    def aggregate(self) -> Hex32 | None:
        """The last model's digest, the same as a recorder's log holds of a real run."""
        return digest_of(self.arrays) if self.arrays else None

    def metrics(self) -> dict[str, dict[str, dict[str, Any]]]:
        """Return kind → round → metrics of the last strategy."""
        if not self.results:
            return {}
        last = self.results[-1]
        kinds = {
            "train": last.train_metrics_clientapp,
            "evaluate": last.evaluate_metrics_clientapp,
            "server": last.evaluate_metrics_serverapp,
        }
        return {
            kind: {str(number): dict(record) for number, record in rounds.items()}
            for kind, rounds in kinds.items()
            if rounds
        }


@contextmanager
def strategies(learned: Learned, minimum: int | None) -> Iterator[None]:
    """Keep every result in `learned`; govern every strategy where there is a `minimum`."""
    seams.check_app()
    plain, governed = Strategy.start, GovernedStrategy.start

    def start(
        self: Strategy, grid: Grid, initial_arrays: ArrayRecord, *more: Any, **options: Any
    ) -> Result:
        if minimum is None:
            if isinstance(self, GovernedStrategy):
                result = governed(self, grid, initial_arrays, *more, **options)
            else:
                result = plain(self, grid, initial_arrays, *more, **options)
        else:
            wrapped = _govern(self, minimum)
            result = governed(wrapped, grid, initial_arrays, *more, **options)
        learned.results.append(result)
        return result

    start.governs = True  # type: ignore[attr-defined]
    start.__signature__ = inspect.signature(governed)  # type: ignore[attr-defined]
    with (
        swapped(Strategy, "start", start),
        swapped(GovernedStrategy, "start", start),
    ):
        yield


def _govern(strategy: Strategy, minimum: int) -> GovernedStrategy:
    """Wrap a strategy; one that its author governs keeps the stricter number."""
    if isinstance(strategy, GovernedStrategy):
        return GovernedStrategy(
            strategy.inner, min_participants=max(minimum, strategy.min_participants)
        )
    return GovernedStrategy(strategy, min_participants=minimum)
