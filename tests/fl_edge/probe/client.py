"""The probe's ClientApp: answers as the server asks in the record `config`."""

import io

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp

app = ClientApp()
SECRET = "patient 4711, diagnosis 42"
POISONED = 0


def honest(message, context):
    arrays = [array.numpy() + 1 for array in message.content["arrays"].values()]
    return {
        "arrays": ArrayRecord(arrays),
        "metrics": MetricRecord({"loss": 0.5, "num-examples": 3, "poisoned": POISONED}),
    }


def metric_list(message, context):
    return honest(message, context) | {"metrics": MetricRecord({"loss": [0.5] * 44_000})}


def config_record(message, context):
    return honest(message, context) | {"extra": ConfigRecord({"dump": "x" * 44_000})}


def extra_arrays(message, context):
    return honest(message, context) | {"stolen": ArrayRecord([np.zeros(99)])}


def extra_array(message, context):
    arrays = [*(array.numpy() for array in message.content["arrays"].values()), np.zeros(9)]
    return honest(message, context) | {"arrays": ArrayRecord(arrays)}


def reshaped(message, context):
    arrays = [array.numpy().reshape(-1) for array in message.content["arrays"].values()]
    return honest(message, context) | {"arrays": ArrayRecord(arrays)}


def text_in_name(message, context):
    return honest(message, context) | {"metrics": MetricRecord({SECRET: 1.0})}


def text_in_record_name(message, context):
    return honest(message, context) | {SECRET: MetricRecord({"loss": 1.0})}


def not_finite(message, context):
    return honest(message, context) | {"metrics": MetricRecord({"loss": float("nan")})}


def trailing_bytes(message, context):
    found = []
    for array in message.content["arrays"].values():
        buffer = io.BytesIO()
        np.save(buffer, array.numpy())
        data = buffer.getvalue() + SECRET.encode()
        found.append(Array(array.dtype, tuple(array.shape), "numpy.ndarray", data))
    return honest(message, context) | {"arrays": ArrayRecord(dict(zip("01", found, strict=False)))}


def group_id(message, context):
    return honest(message, context)


def raises(message, context):
    raise ValueError(SECRET)


def only_metrics(message, context):
    return {"metrics": MetricRecord({"loss": 0.5, "num-examples": 3})}


def remember(message, context):
    seen = context.state.get("memory")
    context.state["memory"] = MetricRecord({"mark": 1})
    return {"metrics": MetricRecord({"loss": 0.0, "seen": 0 if seen is None else 1})}


def environment(message, context):
    import os

    found = [name for name in os.environ if "SECRET" in name or "PASSWORD" in name]
    return {"metrics": MetricRecord({"loss": 0.0, "secrets": len(found)})}


def answer(message, context):
    mode = message.content["config"]["mode"]
    reply = Message(RecordDict(globals()[mode](message, context)), reply_to=message)
    if mode == "group_id":
        reply.metadata.group_id = SECRET
    return reply


app.train()(answer)
app.evaluate()(answer)
app.query()(answer)
