"""A ClientApp whose author never heard of data tokens."""

from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()


@app.train()
def train(message, context):
    arrays = message.content["arrays"].to_numpy_ndarrays()
    moved = ArrayRecord([array + context.run_config["step"] for array in arrays])
    metrics = MetricRecord({"num-examples": 4, "loss": 1.0})
    return Message(RecordDict({"arrays": moved, "metrics": metrics}), reply_to=message)


@app.evaluate()
def evaluate(message, context):
    metrics = MetricRecord({"num-examples": 4, "loss": 1.0})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)
