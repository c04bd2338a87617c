"""The ServerApp: Krum of flwr, configured by the run."""

from collections.abc import Iterable

from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import Krum

from .rounds import Config, run, sampling

app = ServerApp()


class GuardedKrum(Krum):
    """Krum that says so when too few have answered for its guarantee."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the update that Krum chooses among 2f + 3 or more."""
        found = list(replies)
        check(sum(not reply.has_error() for reply in found), self.num_malicious_nodes)
        return super().aggregate_train(server_round, found)


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
