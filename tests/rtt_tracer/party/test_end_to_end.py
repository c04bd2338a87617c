"""Five parties as processes, real SPU, a real chain, a real recorder."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from datatoken.types import Hex32
from rtt_tracer.operations.reading import auc
from tests.rtt_tracer.party.conftest import PARAMETERS, Ground
from tests.rtt_tracer.processes import PartyProcess, reports, wait_all
from tests.rtt_tracer.world import ROOT, SPU
from tests.support.chain import wait_until
from tests.support.recorder import PASSWORD

pytestmark = pytest.mark.spu


@dataclass
class Trained:
    """A run that `rtt-tracer run` has started and opened."""

    job: Hex32
    parties: list[PartyProcess]
    said: dict[str, Any]


@pytest.fixture(scope="module")
def trained(ground: Ground, tmp_path_factory: pytest.TempPathFactory) -> Trained:
    """Four epochs of five parties, asked for by C's command."""
    world, folder = ground.world, tmp_path_factory.mktemp("requester")
    job, _ = world.job(ground.assets)
    world.c.signer.save(folder / "c.json", PASSWORD, work=2**4)
    (folder / "password").write_text(PASSWORD + "\n")
    options = [f"-p{name.replace('_', '-')}={value}" for name, value in PARAMETERS.items()]
    command = [
        sys.executable, "-c", "from rtt_tracer.cli.app import main; main()", "run", job,
        "--deployment", str(world.chain.deployment_path),
        "--store", str(world.world.store_folder), "--folder", str(folder / "c"),
        "--keystore", str(folder / "c.json"), "--password-file", str(folder / "password"),
        "--out", str(folder / "out"), "--spu", str(SPU), "--format", "json",
        "-pepochs=4", *options,
        *(f"--state={asset.folder / 'state'}" for asset in ground.assets),
    ]  # fmt: skip
    log = folder / "run.log"
    with log.open("wb") as errors:
        requester = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=errors, cwd=folder,
            env={"PYTHONPATH": str(ROOT), "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
    wait_until(lambda: "--request 0x" in log.read_text(), 60)
    request = re.findall(r"--request (0x[0-9a-f]{64})", log.read_text())[0]
    parties = world.start_all(ground.assets, job, request)
    codes = wait_all(parties)
    output = requester.communicate(timeout=90)[0]
    assert codes == [0] * 5, reports(parties)
    assert requester.returncode == 0, log.read_text()
    assert not world.left_behind()
    return Trained(job, parties, json.loads(output))


def test_five_parties_train_under_their_gates_and_the_requester_opens_the_model(
    ground: Ground, trained: Trained
) -> None:
    """Acceptance: 63, 64, 65, 66, 104, 106, 112"""
    found = trained.said
    assert (found["status"], found["protocol"], found["checkpoints"]) == ("finished", "ABY3", 5)
    assert found["logged"] is True
    weights = np.array(found["values"]["weights"]).ravel()
    assert np.isfinite(weights).all()
    assert auc(np.array(found["values"]["histogram"])) > 0.85
    wait_until(lambda: ground.world.logged(trained.job) == 5)
    assert {party.status["state"] for party in trained.parties} == {"finished"}


def test_every_line_of_a_partys_log_is_json_and_names_job_dt_and_run(trained: Trained) -> None:
    for party in trained.parties:
        lines = [json.loads(line) for line in party.log.read_text().splitlines()]

        ids = {"job": trained.job, "dt": party.asset.dt, "run": party.run}
        assert {line["event"] for line in lines} >= {"agreed", "go", "ended"}
        assert all({"level", "timestamp"} <= set(line) for line in lines)
        assert all(ids.items() <= line.items() for line in lines)


def test_parties_keep_no_rows_and_no_shares_when_the_run_is_over(
    ground: Ground, trained: Trained
) -> None:
    """Acceptance: 66"""
    for party in trained.parties:
        left = {path.name for path in party.folder.iterdir()}
        assert left == {"status.json", "events.jsonl", "engine.log", "party.lock", "results"}
        names = {path.name for path in (party.folder / "results").iterdir()}
        computes = party.asset in ground.computes
        assert names > {"run.json", "manifest.json", "salt"} if computes else not names


def test_bank_named_as_receiver_opens_the_model_and_nobody_else_can(ground: Ground) -> None:
    """Results are revealed only to the parties that the job names. Acceptance: 63, 66"""
    run = ground.run(epochs=1, receivers="0")

    codes = wait_all(run.parties)

    assert codes == [0] * 5, reports(run.parties)
    bank = run.party(ground.data[0])
    with np.load(bank.folder / "results" / "results.npz") as arrays:
        assert np.isfinite(arrays["weights"]).all()
    for asset in (ground.data[1], *ground.computes):
        party = run.party(asset)
        assert list((party.folder / "results").iterdir()) == []
        assert party.status["released_to_requester"] is False
