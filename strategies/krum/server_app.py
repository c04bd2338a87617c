"""The ServerApp: Krum on flwr's, configured by the run."""

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt
from flwr.app import Array, ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Krum

from .replies import usable
from .rounds import Config, run, sampling

app = ServerApp()
Doubles = npt.NDArray[np.float64]


class GuardedKrum(Krum):
    """Krum whose distances can't overflow, and that says so when too few have answered for it."""

    sent: ArrayRecord | None = None

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return flwr's messages; note the arrays, which replies are held against."""
        self.sent = arrays
        return super().configure_train(server_round, arrays, config, grid)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the update that Krum chooses among 2f + 3 or more."""
        found = list(replies)
        kept = usable(found, self.sent, finite=True)
        malicious = still_there(self.num_malicious_nodes, len(found) - len(kept))
        check(sum(not reply.has_error() for reply in kept), malicious)
        valid, _ = self._check_and_log_replies(kept, is_train=True)
        records = [next(iter(reply.content.array_records.values())) for reply in valid]
        chosen = closest([flat(record) for record in records], malicious)
        metrics = self.train_metrics_aggr_fn([valid[chosen].content], self.weighted_by_key)
        return fresh(records[chosen]), metrics

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return the average of the metrics that can be averaged."""
        return super().aggregate_evaluate(server_round, usable(replies))


def fresh(record: ArrayRecord) -> ArrayRecord:
    """Return a model's numbers in arrays of our own: everybody gets them."""
    arrays = {name: np.array(array.numpy(), order="C") for name, array in record.items()}
    return ArrayRecord({name: Array(array) for name, array in arrays.items()})


def flat(record: ArrayRecord) -> Doubles:
    """Return all numbers of a model."""
    return np.concatenate([a.ravel() for a in record.to_numpy_ndarrays()], dtype=np.float64)


def closest(models: Sequence[Doubles], malicious: int) -> int:
    """Return the index of the model with the smallest sum of squares to its n - f - 2 nearest.

    flwr's distances, in single precision and by ``|x|**2 + |y|**2 - 2 * x @ y``, overflow to
    -inf between two liars who choose their numbers for it.
    """
    distances = np.full((len(models), len(models)), np.inf)
    for i, one in enumerate(models):
        for j in range(i):
            distances[i, j] = distances[j, i] = np.square(one - models[j]).sum()
    nearest = np.sort(distances, axis=1)[:, : max(1, len(models) - malicious - 2)]
    return int(np.argmin(nearest.sum(axis=1)))


def still_there(malicious: int, left_out: int) -> int:
    """Return how many malicious devices can be among the rest: those left out count as such.

    More than `malicious` of them are no longer what was foreseen; then none is counted.
    """
    return malicious - left_out if left_out <= malicious else malicious


def check(devices: int, malicious: int) -> None:
    """Raise `ValueError` where Krum promises nothing: below 2f + 3 devices."""
    if devices < 2 * malicious + 3:
        raise ValueError(
            f"Krum withstands {malicious} malicious devices among {2 * malicious + 3} or more, "
            f"not among {devices}"
        )


def strategy(config: Config) -> Krum:
    """Return the strategy of a run."""
    malicious = int(config["num-malicious-nodes"])
    check(int(config["min-nodes"]), malicious)
    return GuardedKrum(num_malicious_nodes=malicious, **sampling(config))


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    run(strategy(context.run_config), grid, context.run_config)
