"""Real services, real parties, real SPU: from the request for a grant to the opened model."""

import json
import os
import re
import ssl
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.errors import ExitCode
from datatoken.service.assets.models import AuthorizationState, RunState
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.signing import sign_request
from rtt_tracer.operations.reading import auc
from tests.rtt_tracer.processes import below
from tests.rtt_tracer.service.hosts import (
    CHEETAH,
    LONG,
    PROGRAM,
    SECRET,
    Banks,
    environment_of,
    status_of,
)
from tests.rtt_tracer.world import ROOT, SPU
from tests.support.chain import wait_until
from tests.support.recorder import PASSWORD

pytestmark = [pytest.mark.spu, pytest.mark.timeout(600)]


class Fintech:
    """C at a terminal."""

    def __init__(self, banks: Banks, folder: Path) -> None:
        self.banks, self.folder = banks, folder
        world = banks.world
        world.c.signer.save(folder / "c.json", PASSWORD, work=2**4)
        (folder / "password").write_text(PASSWORD + "\n")
        certificates = [host.certificate.read_text() for host in banks.hosts]
        (folder / "services.pem").write_text("\n".join(certificates))
        self.common = [
            "--deployment", str(world.chain.deployment_path),
            "--store", str(world.world.store_folder), "--folder", str(folder / "c"),
            "--keystore", str(folder / "c.json"), "--password-file", str(folder / "password"),
            "--format", "json",
        ]  # fmt: skip
        self.services = [f"--service={host.url}" for host in banks.hosts]

    def __call__(self, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-c", PROGRAM, *words, *self.services, *self.common],
            capture_output=True,
            text=True,
            timeout=200,
            cwd=self.folder,
            env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
            check=False,
        )


def problem(call: object) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        call()  # type: ignore[operator]
    return caught.value.service_code


def answers_of(asked: "subprocess.CompletedProcess[str]") -> dict[str, dict[str, str]]:
    """Return the services' answers by DT: some were not grants."""
    error = json.loads(asked.stdout)["error"]
    assert (error["code"], asked.returncode) == ("NOT_ALL_GRANTED", ExitCode.REFUSED), error
    assert error["missing"] == []
    return {one["child"]: one for one in error["asked"]}


def test_from_the_request_for_grants_to_the_opened_model(banks: Banks, tmp_path: Path) -> None:
    """Acceptance: 42, 59, 60, 63, 64, 65, 84, 85, 86, 87, 88, 89"""
    world, fintech = banks.world, Fintech(banks, tmp_path)
    algorithm = world.algorithm(banks.assets)

    # Three banks' services grant at once; one leaves it to a human.
    asked = fintech("ask", algorithm, f"--root-certificates={tmp_path / 'services.pem'}")
    answers = answers_of(asked)
    states = [answers[asset.dt]["state"] for asset in banks.assets]
    assert states == ["granted", "queued", "granted", "granted"]
    queue = banks.hosts[1]
    [waiting] = [
        one
        for one in queue.owner().authorizations()
        if one.state is AuthorizationState.QUEUED and one.parent == algorithm
    ]
    queue.owner().approve(waiting.id)
    wait_until(lambda: queue.owner().authorization(waiting.id).standing, 30)

    job = world.post(algorithm)
    options = [f"-p{name.replace('_', '-')}={value}" for name, value in CHEETAH.items()]
    done = fintech(
        "run", job, "-pepochs=4", *options, f"--root-certificates={tmp_path / 'services.pem'}",
        "--spu", str(SPU), "--out", str(tmp_path / "out"),
    )  # fmt: skip

    run = json.loads(done.stdout)["run"] if done.returncode == 0 else ""
    assert run, done.stderr
    found = json.loads(done.stdout)
    assert (found["status"], found["protocol"], found["logged"]) == ("finished", "CHEETAH", True)
    assert np.isfinite(np.array(found["values"]["weights"])).all()
    assert auc(np.array(found["values"]["histogram"])) > 0.85
    assert banks.ended(run) == {asset.name: ("finished", "") for asset in banks.assets}
    banks.nothing_left()
    _who_may_read_what(banks, run)


def _who_may_read_what(banks: Banks, run: str) -> None:
    """Results for the receivers, logs for owners, events without texts, strangers nothing."""
    a_data, _, a_compute, _ = banks.hosts
    requester = a_compute.requester()
    names = {file.name for file in requester.results(run)}
    assert {"run.json", "manifest.json", "salt"} < names
    assert problem(lambda: requester.logs(run)) is ServiceCode.NOT_ENTITLED
    assert problem(lambda: a_data.requester().results(run)) is ServiceCode.NOT_ENTITLED
    assert a_data.owner().results(run) == []
    a_compute.owner().logs(run)
    events = [event.event for event in requester.all_events(run)]
    assert events[0] == "started" and events[-1] == "finished"
    assert events.count("stored") == 5
    stranger = a_compute.client(Signer.random())
    for call in (stranger.job, stranger.results, stranger.events, stranger.logs, stranger.stop):
        assert problem(lambda call=call: call(run)) is ServiceCode.RUN_UNKNOWN


def test_terms_that_the_workflow_breaks(banks: Banks, tmp_path: Path) -> None:
    """The owner's terms are checked against the algorithm's workflow. Acceptance: 42, 59, 60"""
    world, fintech = banks.world, Fintech(banks, tmp_path)
    train = banks.assets[2].operation
    algorithm = world.algorithm(banks.assets, {train: {"epochs": LONG + 1}})

    asked = fintech("ask", algorithm, f"--root-certificates={tmp_path / 'services.pem'}")

    answers = answers_of(asked)
    refused = answers[banks.assets[2].dt]
    assert (refused["state"], refused["code"]) == ("refused", "AGREEMENT"), answers
    assert "epochs" in refused["why"]
    reader = world.chain.reader()
    assert not reader.grant(algorithm, banks.assets[2].dt).active
    assert reader.grant(algorithm, banks.assets[0].dt).active  # whose terms it keeps


def test_request_without_a_grant_starts_no_party_anywhere(banks: Banks, tmp_path: Path) -> None:
    """Acceptance: 44, 64"""
    world, fintech = banks.world, Fintech(banks, tmp_path)
    job, algorithm = world.job(banks.assets)
    world.revoke(banks.assets[1], algorithm)
    options = [f"-p{name.replace('_', '-')}={value}" for name, value in CHEETAH.items()]

    done = fintech(
        "run", job, "-pepochs=1", *options, f"--root-certificates={tmp_path / 'services.pem'}",
        "--spu", str(SPU),
    )  # fmt: skip

    assert done.returncode == ExitCode.REFUSED, done.stderr
    error = json.loads(done.stdout)["error"]
    # The gate that is asked first says it: the owner's own, or another that counts grants.
    assert error["code"] in ("GRANT_REVOKED", "TOO_FEW_PARTICIPANTS")
    run = re.findall(r"request 0x([0-9a-f]{32})", done.stderr)[0]
    assert not [host.run_folder(run) for host in banks.hosts if host.run_folder(run).exists()]
    with pytest.raises(Refused) as caught:
        signed, _ = world.request(job, **CHEETAH)
        banks.hosts[1].requester().start(job, signed.digest())
    assert caught.value.reason is Reason.GRANT_REVOKED
    banks.nothing_left()
    assert world.logged(job) == 0


def test_service_killed_in_mid_job_and_restarted(banks: Banks) -> None:
    """The party goes on, and the new service finds it. Acceptance: 84, 112"""
    _, job, request = banks.ask(epochs=12)
    run = banks.begin(job, request)
    host = banks.hosts[2]
    banks.in_the_middle(run)
    headers = sign_request(banks.world.c.signer, host.service, "GET", "/jobs")
    trust = ssl.create_default_context(cafile=str(host.certificate))
    first = httpx.get(f"{host.url}/jobs", headers=headers, verify=trust)

    host.kill()
    pid = host.pid(run)
    assert Path(f"/proc/{pid}").exists()
    host.start()

    assert banks.ended(run) == {asset.name: ("finished", "") for asset in banks.assets}
    names = {file.name for file in host.requester().results(run)}
    assert "weights.share" in names
    again = httpx.get(f"{host.url}/jobs", headers=headers, verify=trust)
    assert (first.status_code, again.status_code) == (200, 401)
    assert again.json()["code"] == "REQUEST_REPLAYED"
    for one in banks.hosts:
        with pytest.raises(Refused) as caught:
            one.requester().start(job, request)
        assert caught.value.reason is Reason.REQUEST_REPLAYED
    banks.nothing_left()


def test_service_and_party_killed_in_mid_job(banks: Banks) -> None:
    """A machine loses power: everybody ends and says why; the new service knows, too."""
    _, job, request = banks.ask(epochs=LONG)
    run = banks.begin(job, request)
    host = banks.hosts[3]
    banks.in_the_middle(run)

    host.kill()
    host.kill_party(run)
    host.start()

    said = banks.ended(run)
    assert said.pop(host.asset.name) == ("failed", "PARTY_STOPPED")
    assert {reason for _, reason in said.values()} == {"PARTY_MISSING"}, said
    assert "without saying why" in host.party(run).sentence
    assert problem(lambda: host.requester().results(run)) is ServiceCode.RUN_NOT_FINISHED
    rounds = banks.world.logged(job)
    assert 0 < rounds < LONG
    with pytest.raises(Refused) as caught:
        host.requester().start(job, request)
    assert caught.value.reason is Reason.REQUEST_REPLAYED
    banks.nothing_left()


def test_stop_at_one_service_ends_the_run_everywhere(banks: Banks) -> None:
    """Also: what a party and what it starts can see of the service. Acceptance: 63"""
    _, job, request = banks.ask(epochs=LONG)
    run = banks.begin(job, request)
    banks.in_the_middle(run)
    for host in banks.hosts:
        pid = host.pid(run)
        assert os.getpgid(pid) == os.getsid(pid) == pid
        allowed = {"PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE"}
        assert environment_of(pid).keys() <= allowed
        children = below(pid)
        assert children or host.domain == "private"
        for child in children:
            shown = str(environment_of(child))
            assert SECRET not in shown and PASSWORD not in shown

    stranger = banks.hosts[0].client(banks.world.b)
    assert problem(lambda: stranger.stop(run)) is ServiceCode.RUN_UNKNOWN
    banks.hosts[0].requester().stop(run)

    said = banks.ended(run)
    assert {reason for _, reason in said.values()} == {"PARTY_STOPPED"}, said
    assert banks.hosts[0].party(run).state is RunState.STOPPED
    banks.hosts[0].requester().stop(run)  # repeating is safe
    assert status_of(banks.hosts[0], run)["state"] == "stopped"
    banks.nothing_left()


def test_card_says_what_keeps_operations_inside(banks: Banks) -> None:
    """Acceptance: 84, 85"""
    for host in banks.hosts:
        card = host.requester().card()

        assert (card.domain, card.engine) == (host.domain, "rtt-tracer")
        walls = " ".join(card.isolation)
        for wall in ("no secrets", "MB of memory", "no capabilities", "network", "process"):
            assert wall in walls, card.isolation
