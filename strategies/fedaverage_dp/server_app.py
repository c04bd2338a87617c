"""The ServerApp: FedAvg of flwr in its wrapper for central differential privacy."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from .privacy import PrivateFedAvg
from .rounds import Config, run, sampling

app = ServerApp()


def strategy(config: Config) -> PrivateFedAvg:
    """Return the strategy of a run."""
    return PrivateFedAvg(
        noise_multiplier=float(config["noise-multiplier"]),
        clipping_norm=float(config["clipping-norm"]),
        delta=float(config["delta"]),
        **sampling(config),
    )


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    run(strategy(context.run_config), grid, context.run_config)
