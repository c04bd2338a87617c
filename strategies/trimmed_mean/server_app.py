"""The ServerApp: FedTrimmedAvg of flwr, configured by the run."""

from collections.abc import Iterable

from flwr.app import ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedTrimmedAvg

from .rounds import Config, run, sampling

app = ServerApp()


class GuardedTrimmedMean(FedTrimmedAvg):
    """FedTrimmedAvg that says so when too few have answered for anything to be cut off."""

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return the mean of what is left when both tails are cut off."""
        found = list(replies)
        check(sum(not reply.has_error() for reply in found), self.beta)
        return super().aggregate_train(server_round, found)


def check(devices: int, beta: float) -> None:
    """Raise `ValueError` where a share of `beta` is less than one device."""
    if int(beta * devices) < 1:
        raise ValueError(f"a share of {beta} of {devices} devices cuts nobody off")


def strategy(config: Config) -> FedTrimmedAvg:
    """Return the strategy of a run."""
    beta = float(config["beta"])
    check(int(config["min-nodes"]), beta)
    return GuardedTrimmedMean(beta=beta, **sampling(config))


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    run(strategy(context.run_config), grid, context.run_config)
