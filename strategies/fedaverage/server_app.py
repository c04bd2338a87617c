"""The ServerApp: plain FedAvg of flwr, configured by the run."""

from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg

from .layers import initial_arrays

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run `num-server-rounds` rounds of training and evaluation."""
    config = context.run_config
    minimum = int(config["min-nodes"])
    strategy = FedAvg(
        fraction_train=float(config["fraction-train"]),
        fraction_evaluate=float(config["fraction-evaluate"]),
        min_train_nodes=minimum,
        min_evaluate_nodes=minimum,
        min_available_nodes=minimum,
    )
    strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(
            initial_arrays(str(config["layers"]), int(config["initial-seed"]))
        ),
        num_rounds=int(config["num-server-rounds"]),
        timeout=float(config["round-timeout"]),
    )
