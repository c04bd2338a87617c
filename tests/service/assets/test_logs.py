"""The log of an asset service: JSON lines that name job, DT and run."""

import json

from datatoken.service.assets.models import JobRun
from tests.support.asset_service import Serving


def test_every_line_is_json_and_names_job_dt_and_run(ended: tuple[Serving, JobRun]) -> None:
    serving, run = ended

    lines = [json.loads(line) for line in serving.log.read_text().splitlines()]

    assert all({"event", "level", "timestamp"} <= set(line) for line in lines)
    ids = {"job": run.job, "dt": serving.bank.data, "run": run.id}
    for event in ("party started", "run ended"):
        assert any(line["event"] == event and ids.items() <= line.items() for line in lines), event
