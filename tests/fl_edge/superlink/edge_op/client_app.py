"""The ClientApp."""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Add `step` to every number."""
    arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
    moved = [(array + float(context.run_config["step"])).astype(array.dtype) for array in arrays]
    metrics = MetricRecord({"num-examples": 10})
    content = RecordDict({"arrays": ArrayRecord(moved), "metrics": metrics})
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Return the first number as the loss."""
    first = message.content.array_records["arrays"].to_numpy_ndarrays()[0].flat[0]
    metrics = MetricRecord({"loss": float(first), "num-examples": 10})
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
