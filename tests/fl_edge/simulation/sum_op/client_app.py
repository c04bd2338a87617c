"""The ClientApp."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add `step` times the client's own number; say it in a metric, too, where told to `leak`."""
    own = float(context.run_config["step"]) * (int(context.node_config["partition-id"]) + 1)
    arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
    moved = [(array + own).astype(array.dtype) for array in arrays]
    values = {"num-examples": 8}
    if context.run_config["leak"] and int(context.node_config["partition-id"]) == 0:
        values["secret"] = 1
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": MetricRecord(values)})
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Return the first number as the loss."""
    first = message.content.array_records["arrays"].to_numpy_ndarrays()[0].flat[0]
    metrics = MetricRecord({"loss": float(first), "num-examples": 8})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
