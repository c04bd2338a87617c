"""A's real service before A's real SuperLink: from the request for a grant to the results."""

import json
import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.roles import AssetOwner, Institution
from datatoken.service.assets.models import AuthorizationState, RunState
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import ZERO32
from fl_edge.fab import effective_config
from tests.fl_edge.harness import BIN, QUIET
from tests.fl_edge.service.hosts import (
    LONG,
    SECRET,
    SMALL,
    OwnersService,
    environment_of,
    flwr_runs,
)
from tests.fl_edge.superlink.world import PASSWORD
from tests.support.chain import fresh, wait_until

pytestmark = pytest.mark.timeout(600)


def refused(call: Callable[[], object]) -> Reason:
    """Return the reason of a refusal."""
    with pytest.raises(Refused) as caught:
        call()
    return caught.value.reason


def problem(call: Callable[[], object]) -> ServiceCode:
    """Return the code of a problem."""
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.service_code


def test_from_the_request_for_a_grant_to_the_results(owner: OwnersService) -> None:
    """Acceptance: 42, 76, 84, 86, 87, 88."""
    world, b = owner.world, owner.b()
    algorithm = owner.algorithm()

    asked = b.ask(world.composite, algorithm)
    wait_until(lambda: b.authorization(asked.id).state is AuthorizationState.GRANTED, 30)
    job = owner.post(algorithm)
    signed = owner.request(job, SMALL)
    run = b.start(job, signed.digest())
    assert owner.announced(job) == [signed.digest()]
    found = owner.wait(run.id, RunState.FINISHED)

    assert (found.stage, found.stages) == (1, 1)
    files = {file.name: file for file in b.results(run.id)}
    assert set(files) == {"metrics.json", "aggregate.json"}
    metrics = json.loads(b.download(run.id, files["metrics.json"], owner.folder / "m").read_text())
    assert metrics["rounds"] == 1
    assert metrics["evaluate"]["1"].keys() == {"loss"}
    aggregate = json.loads(
        b.download(run.id, files["aggregate.json"], owner.folder / "a").read_text()
    )
    world.job, earlier = job, world.job
    assert aggregate["digest"] in json.dumps(world.documents())
    world.job = earlier
    events = list(b.all_events(run.id))
    names = [event.event for event in events]
    assert names == ["started", "running", "round", "train", "evaluate", "finished"]
    train = next(event.facts for event in events if event.event == "train")
    assert train == {"round": 1, "asked": 2, "results": 2, "failures": 0}
    assert problem(lambda: b.logs(run.id)) is ServiceCode.NOT_ENTITLED
    assert "[ROUND 1/1]" in owner.a().logs(run.id)
    stranger = owner.client(Signer.random())
    for call in (stranger.job, stranger.results, stranger.events, stranger.logs, stranger.stop):
        assert problem(lambda call=call: call(run.id)) is ServiceCode.RUN_UNKNOWN
    # The same request again, and another form of the same nonce.
    assert refused(lambda: b.start(job, signed.digest())) is Reason.REQUEST_REPLAYED
    again = owner.request(job, SMALL, nonce=signed.request.nonce)
    assert refused(lambda: b.start(job, again.digest())) is Reason.REQUEST_REPLAYED
    assert owner.announced(job) == [signed.digest()]
    owner.nothing_left()


def nothing_happened(owner: OwnersService, job: str, before: int) -> None:
    """Assert that nothing was announced, and that no run was started."""
    assert owner.announced(job) == []
    assert flwr_runs(owner.world.superlink) == before
    assert owner.b().jobs() == [run for run in owner.b().jobs() if run.job != job]


def test_requests_that_break_terms_or_rules_announce_nothing(owner: OwnersService) -> None:
    """Acceptance: 44, 76, 102, 103."""
    world, b = owner.world, owner.b()
    job, before = owner.post(), flwr_runs(owner.world.superlink)
    config = effective_config(world.fab, SMALL)
    key = world.chain.b.signer

    cases = {
        "the composite's terms": (
            owner.request(job, {**SMALL, "step": 7.0}),
            Reason.PARAMETERS_OUTSIDE_TERMS,
        ),
        "the operation's schema": (
            owner.request(job, {**SMALL, "step": 99.0}),
            Reason.PARAMETERS_OUTSIDE_TERMS,
        ),
        "a default left out": (
            owner.signed(job, {"num-server-rounds": 1}, key),
            Reason.REQUEST_MISMATCH,
        ),
        "other code": (owner.request(job, SMALL, operation=fresh()), Reason.REQUEST_MISMATCH),
        "another audience": (owner.request(job, SMALL, audience=fresh()), Reason.REQUEST_MISMATCH),
        "too late": (owner.request(job, SMALL, deadline=1), Reason.REQUEST_EXPIRED),
        "another signer": (
            owner.signed(job, config, Signer.random()),
            Reason.REQUEST_SIGNATURE,
        ),
        "another job": (owner.request(owner.post(), SMALL), Reason.REQUEST_MISMATCH),
    }
    for name, (signed, reason) in cases.items():
        assert refused(lambda signed=signed: b.start(job, signed.digest())) is reason, name
    whole = owner.request(job, SMALL).digest()
    assert problem(lambda: owner.a().start(job, whole)) is ServiceCode.NOT_ENTITLED

    nothing_happened(owner, job, before)


def test_job_that_is_not_posted_not_granted_any_more_or_paused_announces_nothing(
    owner: OwnersService,
) -> None:
    """Acceptance: 48, 77."""
    world, b = owner.world, owner.b()
    before, institution = flwr_runs(world.superlink), world.role(Institution, world.chain.b, "b")

    unposted = fresh()
    signed = owner.request(unposted, SMALL)
    assert refused(lambda: b.start(unposted, signed.digest())) is Reason.JOB_UNKNOWN
    algorithm, role = owner.algorithm(), world.role(AssetOwner, world.chain.a, "a")
    role.grant(world.composite, algorithm)
    ungranted = owner.post(algorithm)
    role.revoke(world.composite, algorithm)
    signed = owner.request(ungranted, SMALL)
    assert refused(lambda: b.start(ungranted, signed.digest())) is Reason.GRANT_REVOKED
    paused = owner.post()
    institution.pause(paused)
    signed = owner.request(paused, SMALL)
    assert refused(lambda: b.start(paused, signed.digest())) is Reason.JOB_NOT_OPEN

    deserted = owner.post()  # only the gate counts who still grants: the announcement does not
    signed_too = owner.request(deserted, SMALL)
    world.revoke(0)
    assert refused(lambda: b.start(deserted, signed_too.digest())) is Reason.TOO_FEW_PARTICIPANTS
    world.grant(0)

    for job in (unposted, ungranted, paused, deserted):
        nothing_happened(owner, job, before)
    institution.reopen(paused)
    run = b.start(paused, signed.digest())  # nothing was spent by the refusal
    b.stop(run.id)
    owner.wait(run.id, RunState.STOPPED)


def test_announced_by_hand_or_before_a_crash_is_not_announced_again(owner: OwnersService) -> None:
    """The announcement is on the chain, and the service has not got further."""
    world, b = owner.world, owner.b()
    job = owner.post()
    signed = owner.request(job, SMALL)
    role = world.role(AssetOwner, world.chain.a, "a")
    role.announce(job, signed)

    run = b.start(job, signed.digest())

    assert owner.announced(job) == [signed.digest()]
    b.stop(run.id)
    owner.wait(run.id, RunState.STOPPED)
    role.withdraw(job, world.composite)
    withdrawn = owner.request(job, SMALL)
    role.announce(job, withdrawn)
    role.withdraw(job, world.composite)
    assert refused(lambda: b.start(job, withdrawn.digest())) is Reason.REQUEST_REPLAYED
    assert owner.announced(job)[-1] == ZERO32


def test_stop_in_mid_run(owner: OwnersService) -> None:
    """Also: what a run's process can see; and a second request meanwhile is not announced."""
    b, job = owner.b(), owner.post()
    first = owner.request(job, LONG)
    run = b.start(job, first.digest())
    owner.wait(run.id, RunState.RUNNING, stage=1)
    pid = owner.pid(run.id)
    assert os.getpgid(pid) == os.getsid(pid) == pid
    allowed = {"PATH", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE"}
    allowed |= {"FLWR_HOME", "FLWR_TELEMETRY_ENABLED", "FLWR_DISABLE_UPDATE_CHECK"}
    assert environment_of(pid).keys() <= allowed
    shown = str(environment_of(pid))
    assert SECRET not in shown and PASSWORD not in shown
    second = owner.request(job, SMALL)
    assert problem(lambda: b.start(job, second.digest())) is ServiceCode.ASSET_BUSY
    assert owner.announced(job) == [first.digest()]
    assert problem(lambda: b.results(run.id)) is ServiceCode.RUN_NOT_FINISHED

    b.stop(run.id)

    found = owner.wait(run.id, RunState.STOPPED)
    assert found.reason == Reason.PARTY_STOPPED
    b.stop(run.id)  # repeating is safe
    owner.nothing_left()
    after = b.start(job, second.digest())
    assert owner.announced(job) == [first.digest(), second.digest()]
    b.stop(after.id)
    owner.wait(after.id, RunState.STOPPED)


def test_many_calls_at_once_announce_one_request_and_start_one_run(owner: OwnersService) -> None:
    job, before = owner.post(), flwr_runs(owner.world.superlink)
    digests = [owner.request(job, LONG).digest() for _ in range(2)] * 3

    def start(digest: str) -> str:
        client = owner.b()
        try:
            return client.start(job, digest).id
        except ServiceError as error:
            return error.service_code

    with ThreadPoolExecutor(len(digests)) as pool:
        answers = set(pool.map(start, digests))

    [run] = answers - {ServiceCode.ASSET_BUSY}
    owner.wait(run, RunState.RUNNING)
    [announced] = owner.announced(job)
    assert announced[2:34] == run
    assert flwr_runs(owner.world.superlink) == before + 1
    owner.b().stop(run)
    owner.wait(run, RunState.STOPPED)


@pytest.mark.slow
def test_service_killed_in_mid_run_and_restarted(owner: OwnersService) -> None:
    """Acceptance: 84, 112."""
    b = owner.b()
    job = owner.post()
    signed = owner.request(job, {**SMALL, "num-server-rounds": 4})
    run = b.start(job, signed.digest())
    owner.wait(run.id, RunState.RUNNING, stage=1)

    owner.kill()
    assert owner.living() == [owner.pid(run.id)]
    owner.start()

    owner.wait(run.id, RunState.FINISHED)
    again = owner.b()
    assert {file.name for file in again.results(run.id)} == {"metrics.json", "aggregate.json"}
    assert refused(lambda: again.start(job, signed.digest())) is Reason.REQUEST_REPLAYED
    assert owner.announced(job) == [signed.digest()]


@pytest.mark.slow
def test_owner_who_announces_by_hand_only(owner: OwnersService) -> None:
    job = owner.post()
    signed = owner.request(job, SMALL)
    owner.stop()
    owner.announce = False
    owner.start()
    try:
        assert refused(lambda: owner.b().start(job, signed.digest())) is Reason.NOT_ANNOUNCED
        assert owner.announced(job) == []
        owner.world.role(AssetOwner, owner.world.chain.a, "a").announce(job, signed)
        run = owner.b().start(job, signed.digest())
        owner.wait(run.id, RunState.FINISHED)
    finally:
        owner.stop()
        owner.announce = True
        owner.start()


@pytest.mark.slow
def test_grant_revoked_in_mid_run(owner: OwnersService) -> None:
    """The SuperLink's gate ends the run, and the service says why. Acceptance: 105."""
    world, b = owner.world, owner.b()
    algorithm = owner.algorithm()
    asked = b.ask(world.composite, algorithm)
    wait_until(lambda: b.authorization(asked.id).state is AuthorizationState.GRANTED, 30)
    job = owner.post(algorithm)
    run = b.start(job, owner.request(job, LONG).digest())
    owner.wait(run.id, RunState.RUNNING, stage=1)

    world.role(AssetOwner, world.chain.a, "a").revoke(world.composite, algorithm)

    found = owner.wait(run.id, RunState.FAILED)
    # Whose gate is asked first says it: the SuperLink's, or those of the members below.
    assert found.reason in (Reason.GRANT_REVOKED, Reason.TOO_FEW_PARTICIPANTS)
    assert Reason.GRANT_REVOKED in owner.a().logs(run.id)
    assert Reason.GRANT_REVOKED not in found.sentence  # the whole text is the owner's
    assert problem(lambda: b.results(run.id)) is ServiceCode.RUN_NOT_FINISHED
    owner.nothing_left()


@pytest.mark.slow
def test_submit_at_a_terminal(owner: OwnersService) -> None:
    """Acceptance: 87, 112."""
    world, job = owner.world, owner.post()
    command = [
        *(str(BIN / "fl-edge"), "submit", job, "--service", owner.url),
        *("--root-certificates", str(owner.certificate), "--folder", str(world.folder / "b-cli")),
        *("--deployment", str(world.chain.deployment_path), "--store", str(world.store_path)),
        *("--keystore", str(world.keystore("b", world.chain.b.signer))),
        *("--password-file", str(world.password_file), "--format", "json"),
    ]

    def submit(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*command, *more],
            capture_output=True,
            text=True,
            timeout=300,
            env={**os.environ, **QUIET},
            check=False,
        )

    done = submit("-c", "layers=3-1 num-server-rounds=1")
    bad = submit("-c", "layers=3-1 step=7.0")

    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["status"] == "finished"
    assert [name.rpartition("/")[2] for name in found["results"]] == [
        "aggregate.json",
        "metrics.json",
    ]
    assert bad.returncode == 4
    assert json.loads(bad.stdout)["error"]["code"] == "PARAMETERS_OUTSIDE_TERMS"
    assert len(owner.announced(job)) == 1


@pytest.mark.slow
def test_superlink_that_ends_in_mid_run_or_is_not_there(owner: OwnersService) -> None:
    """The last test of this module: the SuperLink is ended. Acceptance: 104."""
    b, job = owner.b(), owner.post()
    run = b.start(job, owner.request(job, LONG).digest())
    owner.wait(run.id, RunState.RUNNING, stage=1)

    owner.world.superlink.stop()

    assert owner.wait(run.id, RunState.FAILED).reason == Reason.ENGINE_FAILED
    owner.nothing_left()
    other = owner.post()
    signed = owner.request(other, SMALL)
    assert refused(lambda: b.start(other, signed.digest())) is Reason.ENGINE_MISSING
    assert owner.announced(other) == []
    assert {run.job for run in b.jobs()}.isdisjoint({other})  # the request is not spent
