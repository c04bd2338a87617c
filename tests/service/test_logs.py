"""The recorder's log: JSON lines, with all ids that are known, and no content of receipts."""

import json
from collections.abc import Callable

from datatoken.types import MessageKind
from tests.support.chain import fresh
from tests.support.recorder import Governed, Running


def test_every_line_is_json_and_names_job_run_and_transaction(
    new_job: Callable[..., Governed], start: Callable[..., Running]
) -> None:
    governed = new_job()
    running = start(governed)
    server = governed.client(running.url, governed.server_node())
    signed = governed.round(fresh())
    server.name_round(
        governed.job, run="1", kind=MessageKind.TRAIN, expected=3,
        input_digest=signed[0].receipt.input,
    )  # fmt: skip
    for one in signed:
        server.post_receipt(one)
    governed.wait_round(1)
    assert running.stop() == 0

    lines = [json.loads(line) for line in running.log.read_text().splitlines()]

    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    receipts = [line for line in lines if line["event"] == "receipt"]
    assert {line["receipt"] for line in receipts} == {one.receipt.digest() for one in signed}
    assert {(line["job"], line["run"], line["sequence"]) for line in receipts} == {
        (governed.job, one.receipt.run, one.receipt.sequence) for one in signed
    }
    [logged] = [line for line in lines if line["event"] == "round logged"]
    assert (logged["job"], logged["round"], logged["tx"][:2]) == (governed.job, 1, "0x")
    assert signed[0].receipt.output not in running.log.read_text()
