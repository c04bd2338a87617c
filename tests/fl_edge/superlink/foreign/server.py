"""A ServerApp whose author never heard of data tokens."""

import os

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAdam, FedAvg, Krum

app = ServerApp()
KNOBS = {"min_train_nodes": 3, "min_evaluate_nodes": 3, "min_available_nodes": 3}


def own_loop(grid, rounds):
    """No strategy at all, and whoever does not answer is ignored."""
    for number in range(rounds):
        arrays = ArrayRecord([np.full((2, 2), number, np.float64)])
        content = RecordDict({"arrays": arrays, "config": ConfigRecord({"server-round": number})})
        messages = [Message(content, node, "train") for node in grid.get_node_ids()]
        replies = list(grid.send_and_receive(messages))
        print("got", sum(not reply.has_error() for reply in replies), flush=True)


@app.main()
def main(grid, context):
    secrets = [name for name in os.environ if "PASSWORD" in name or "KEYSTORE" in name]
    print("secrets seen:", secrets, flush=True)
    config = context.run_config
    if config["strategy"] == "own":
        own_loop(grid, config["rounds"])
        return
    strategies = {
        "fedavg": lambda: FedAvg(**KNOBS),
        "fedadam": lambda: FedAdam(eta=0.1, **KNOBS),
        "krum": lambda: Krum(num_malicious_nodes=0, **KNOBS),
    }
    result = strategies[config["strategy"]]().start(
        grid=grid, initial_arrays=ArrayRecord([np.zeros((2, 2))]), num_rounds=config["rounds"]
    )
    print("first number:", result.arrays.to_numpy_ndarrays()[0].flat[0], flush=True)
