"""The ServerApp: FedYogi of flwr, configured by the run."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedYogi

from .rounds import Config, run, sampling

app = ServerApp()


def strategy(config: Config) -> FedYogi:
    """Return the strategy of a run."""
    return FedYogi(
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
