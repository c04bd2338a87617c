"""The ServerApp: FedTrimmedAvg of flwr, configured by the run."""

from collections.abc import Iterable

from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedTrimmedAvg

from .replies import usable
from .rounds import Config, run, sampling

app = ServerApp()


class GuardedTrimmedMean(FedTrimmedAvg):
    """FedTrimmedAvg that says so when too few have answered for anything to be cut off."""

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
        """Return the mean of what is left when both tails are cut off."""
        found = list(replies)
        kept = usable(found, self.sent)
        devices, left_out = sum(not reply.has_error() for reply in found), len(found) - len(kept)
        if left_out > int(self.beta * devices):  # more than the share that is foreseen
            devices -= left_out
        check(devices, self.beta)
        return super().aggregate_train(server_round, kept)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Return the average of the metrics that can be averaged."""
        return super().aggregate_evaluate(server_round, usable(replies))


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
