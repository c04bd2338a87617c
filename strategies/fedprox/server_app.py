"""The ServerApp: FedProx of flwr, configured by the run."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedProx

from .rounds import Config, run, sampling

app = ServerApp()


def strategy(config: Config) -> FedProx:
    """Return the strategy of a run; devices read ``proximal-mu`` from each train message."""
    return FedProx(proximal_mu=float(config["proximal-mu"]), **sampling(config))


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    run(strategy(context.run_config), grid, context.run_config)
