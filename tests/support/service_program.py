"""A small real party: status, events, results in a folder; it ends as its parameters say.

    python service_program.py FOLDER MODE

``steady``: runs until the file FOLDER/../finish-it is there; ``quick``: finishes at once;
``deaf``: does not end on SIGTERM; ``dies``: ends without a word; ``hostile``: leaves links in
place of results.
"""

import json
import os
import signal
import sys
import time
from pathlib import Path

folder, mode = Path(sys.argv[1]), sys.argv[2]


def say(state: str, **more: object) -> None:
    content = {"state": state, "stage": 1, "stages": 2, "peers": {}, **more}
    (folder / "status.new").write_text(json.dumps(content))
    (folder / "status.new").replace(folder / "status.json")
    with (folder / "events.jsonl").open("a") as file:
        line = {"time": "2030-01-01T00:00:00Z", "event": state, "stage": 1, "row": "Mrs X, 7000"}
        file.write(json.dumps(line) + "\n")


def stop(number: int, frame: object) -> None:
    if mode == "deaf":
        return
    say("stopped", reason="PARTY_STOPPED", sentence="The operator has stopped it.")
    sys.exit(10)


signal.signal(signal.SIGTERM, stop)
folder.mkdir(parents=True)
(folder / "environment.json").write_text(json.dumps(dict(os.environ)))
(folder / "engine.log").write_text("a row: Mrs X, 7000\n")
(folder / "results").mkdir()
say("running")
if mode == "dies":
    os.kill(os.getpid(), signal.SIGKILL)
while mode in ("steady", "deaf") and not (folder.parent / f"{folder.name}.finish").exists():
    time.sleep(0.02)
(folder / "results" / "weights.npz").write_bytes(b"weights" * 40_000)
if mode == "hostile":
    (folder / "results" / "rows.csv").symlink_to(folder.parents[2] / "secret.csv")
    os.link(folder.parents[2] / "secret.csv", folder / "results" / "linked.csv")
say("finished")
