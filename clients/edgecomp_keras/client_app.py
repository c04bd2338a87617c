"""The ClientApp in TensorFlow/Keras.

What leaves the device: arrays of the model's own shape after training; loss, AUC and a
number of rows after evaluation.
"""

from flwr.app import ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

from . import network, rows, scores

app = ClientApp()


@app.train()
def train(message: Message, context: Context) -> Message:
    """Train on this device's rows, starting from the arrays that arrived."""
    config, said = context.run_config, message.content.config_records.get("config")
    mine, _ = rows.split(rows.load(dict(context.node_config)))
    arrays = network.train(
        message.content.array_records["arrays"].to_numpy_ndarrays(),
        mine.x,
        mine.y,
        epochs=int(config["local-epochs"]),
        learning_rate=float(config["learning-rate"]),
        batch_size=int(config["batch-size"]),
        decay=float(config["weight-decay"]),
        seed=int(config["seed"]),
        proximal=float(said.get("proximal-mu", 0.0)) if said else 0.0,
    )
    loss = scores.log_loss(mine.y, network.predict(arrays, mine.x))
    content = RecordDict(
        {
            "arrays": ArrayRecord(arrays),
            "metrics": MetricRecord({"loss": loss, "num-examples": len(mine)}),
        }
    )
    return Message(content=content, reply_to=message)


@app.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """Evaluate the arrays that arrived on rows that this device never trains on."""
    _, held_out = rows.split(rows.load(dict(context.node_config)))
    arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
    p = network.predict(arrays, held_out.x)
    metrics = MetricRecord(
        {
            "auc": scores.auc(held_out.y, p),
            "loss": scores.log_loss(held_out.y, p),
            "num-examples": len(held_out),
        }
    )
    return Message(content=RecordDict({"metrics": metrics}), reply_to=message)
