"""The ServerApp: FedAdam of flwr, configured by the run."""

from collections.abc import Iterable

from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAdam

from .rounds import Config, run, sampling

app = ServerApp()


class SteadyFedAdam(FedAdam):
    """FedAdam whose arrays keep the type that they had.

    flwr's step is in double precision, so its arrays are from the second round on; replies,
    held to the type of what was asked, would then have to be of twice the size.
    """

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Return flwr's step in the type of the arrays that were sent."""
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None or self.current_arrays is None:
            return arrays, metrics
        kept = {
            name: Array(array.numpy().astype(self.current_arrays[name].dtype))
            for name, array in arrays.items()
        }
        return ArrayRecord(kept), metrics


def strategy(config: Config) -> FedAdam:
    """Return the strategy of a run."""
    return SteadyFedAdam(
        eta=float(config["server-learning-rate"]),
        beta_1=float(config["beta-1"]),
        beta_2=float(config["beta-2"]),
        tau=float(config["tau"]),
        **sampling(config),
    )


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    run(strategy(context.run_config), grid, context.run_config)
