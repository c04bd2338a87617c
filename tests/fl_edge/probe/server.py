"""The probe's ServerApp: sends what a plan says, one message a step, and writes what came back."""

import json
import time
from pathlib import Path

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Message, RecordDict
from flwr.serverapp import ServerApp

app = ServerApp()


def described(reply):
    if reply.has_error():
        return {"code": reply.error.code, "reason": reply.error.reason}
    content = reply.content
    return {
        "arrays": {
            name: {key: list(array.shape) for key, array in record.items()}
            for name, record in content.array_records.items()
        },
        "metrics": {name: dict(record) for name, record in content.metric_records.items()},
        "configs": list(content.config_records),
        "group_id": reply.metadata.group_id,
        "first": [
            float(array.numpy().flat[0])
            for record in content.array_records.values()
            for array in record.values()
        ],
    }


def asked(grid, message, seconds=60):
    """Return the replies to a message; flwr's send_and_receive looks every 3 s only."""
    ids = list(grid.push_messages([message]))
    deadline = time.monotonic() + seconds
    while not (replies := list(grid.pull_messages(ids))) and time.monotonic() < deadline:
        time.sleep(0.1)
    return replies


@app.main()
def main(grid, context):
    plan = json.loads(Path(context.run_config["plan"]).read_text())
    while not (nodes := list(grid.get_node_ids())):
        time.sleep(0.2)
    found = []
    for step in plan:
        Path(context.run_config["lie"]).write_text(step.get("lie", ""))
        arrays = ArrayRecord([np.zeros((3, 2), np.float32), np.ones(2)])
        values = {"mode": step.get("mode", "honest"), **step.get("config", {})}
        content = RecordDict({"arrays": arrays, "config": ConfigRecord(values)})
        message = Message(content, nodes[0], step.get("kind", "train"))
        replies = asked(grid, message)
        found.append(described(replies[0]) if replies else {"silence": True})
        print("STEP", json.dumps(step), json.dumps(found[-1]), flush=True)
    Path(context.run_config["lie"]).write_text("")
    Path(context.run_config["out"]).write_text(json.dumps(found))
