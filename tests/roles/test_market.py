"""Tasks and jobs: an institution vouches, and every grant must be there."""

import time
from pathlib import Path

import pytest

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain import errors
from datatoken.errors import BadInputError
from datatoken.roles import AlgorithmProvider, DataConsumer, DataProvider, Institution
from datatoken.types import Hex32, JobStatus, MessageKind
from tests.support.chain import fresh
from tests.support.world import RECORDER, World, composed, leaf


def test_a_task_holds_several_jobs_and_repeating_is_safe(world: World) -> None:
    """Acceptance: 6, 15, 46, 75"""
    # Prepare: two algorithm stages
    made = world.two_banks_of_users(1)
    made.grant()
    second = made.b.publish(composed([made.composite], [{"0": "self"}], type="algorithm")).dt
    made.a.grant(made.composite, second)
    guarantor = world.b
    # Execute
    title = f"Heart {made.algorithm}"
    task = guarantor.create_task(title, "Two stages")
    jobs = [guarantor.post_job(task, dt) for dt in (made.algorithm, second)]
    # Assert
    reader = guarantor.site.reader
    assert [reader.job(job).task for job in jobs] == [task, task]
    assert [reader.job(job).algorithm for job in jobs] == [made.algorithm, second]
    assert reader.job(jobs[0]).recorder == RECORDER
    # Execute: the same again
    assert guarantor.create_task(title, "Two stages") == task
    assert guarantor.post_job(task, made.algorithm) == jobs[0]
    assert guarantor.create_task(title, "Another one") != task
    # A closed one is not returned
    guarantor.close_job(jobs[0])
    assert guarantor.post_job(task, made.algorithm) not in jobs
    world.role(DataConsumer, world.chain.b).close_task(task)
    guarantor.close_task(task)
    assert guarantor.create_task(title, "Two stages") != task


@pytest.mark.parametrize("missing", ["first user", "second user", "composite"])
def test_posting_with_one_grant_missing_is_rejected(world: World, missing: str) -> None:
    """Acceptance: 45, 48. Threats: posting with one grant missing, composite with none."""
    made = world.two_banks_of_users(2)
    users = {"first user": [1], "second user": [0], "composite": [0, 1]}[missing]
    made.grant(users=users, top=missing != "composite")
    with pytest.raises(errors.MissingGrant) as caught:
        made.post()
    parent, child = {
        "first user": (made.composite, made.data[0]),
        "second user": (made.composite, made.data[1]),
        "composite": (made.algorithm, made.composite),
    }[missing]
    assert caught.value.arguments == {"parent": parent, "child": child}


def test_posting_after_a_revocation_is_rejected(world: World) -> None:
    """Acceptance: 48. In a list composite any child can veto by revoking first."""
    made = world.two_banks_of_users(2)
    made.grant()
    world.user(1).revoke(made.data[1], made.composite)
    with pytest.raises(errors.GrantRevoked):
        made.post()
    world.user(1).grant(made.data[1], made.composite)
    assert made.post()


def test_only_an_institution_posts_and_so_vouches(world: World) -> None:
    """Acceptance: 8, 47"""
    # Prepare: an algorithm of an enrolled user, who is no institution
    operation = world.operation()
    data = world.user(0).publish(leaf(operation)).dt
    author = world.role(AlgorithmProvider, world.chain.users[1])
    algorithm = author.publish(composed([data], [{"0": operation}], type="algorithm")).dt
    world.user(0).grant(data, algorithm)
    task = world.role(DataConsumer, world.chain.users[1]).create_task(f"Task of {algorithm}")
    # Execute, Assert: neither the author nor an institution that was not named
    with pytest.raises(errors.NotInstitution):
        world.role(Institution, world.chain.users[1]).post_job(task, algorithm)
    with pytest.raises(errors.NotGuarantor):
        world.a.post_job(task, algorithm)
    author.name_guarantor(algorithm, world.chain.a.address)
    author.name_guarantor(algorithm, world.chain.a.address)
    job = world.a.post_job(task, algorithm)
    assert world.a.site.reader.job(job).guarantor == world.chain.a.address


def test_nesting_deeper_than_two_levels(world: World) -> None:
    """Acceptance: 16"""
    # Prepare: data → source → network → study → algorithm, with leaves on several levels
    edge, merge = world.operation(), world.operation("server")
    owner = world.role(DataProvider, world.chain.a)
    leaves = [owner.publish(leaf(edge, name=f"leaf {i}")).dt for i in range(4)]
    source = owner.publish(composed(leaves[:2], [{"0": edge, "1": edge, "self": merge}])).dt
    network = owner.publish(
        composed([leaves[2], source], [{"0": edge, "1": "self", "self": merge}])
    ).dt
    study = owner.publish(composed([network], [{"0": "self", "self": merge}])).dt
    provider = world.role(AlgorithmProvider, world.chain.b)
    algorithm = provider.publish(
        composed([leaves[3], study], [{"0": edge}, {"1": "self"}], type="algorithm")
    ).dt
    owner.grant_many([leaves[0], leaves[1]], source)
    owner.grant_many([leaves[2], source], network)
    owner.grant(network, study)
    owner.grant_many([leaves[3], study], algorithm)
    # Execute
    below = provider.site.documents.below(algorithm)
    job = world.b.post_job(world.b.create_task(f"Deep {algorithm}"), algorithm)
    # Assert: a node's children in order, then each composite child's block
    assert below == [leaves[3], study, network, leaves[2], source, leaves[0], leaves[1]]
    assert provider.site.reader.job(job).status is JobStatus.OPEN
    tree = provider.site.documents.tree(algorithm)
    assert tree.paths(leaves[0]) == [(leaves[0], source, network, study, algorithm)]


def gate(world: World, asset: Hex32, folder: Path) -> Gatekeeper:
    site = world.site("gate")
    return Gatekeeper(asset, site.reader, site.store, HistoryStore(folder / f"{asset}.sqlite"))


def ask(found: Gatekeeper, job: Hex32, bundle: Hex32, request: Hex32 | None = None) -> Hex32:
    lease = found.authorize(
        job=job,
        run="1",
        bundle=bundle,
        artefact=ARTEFACT,
        kind=MessageKind.TRAIN,
        parameters={},
        records={},
        installed={},
        request=request,
    )
    return lease.operation


ARTEFACT = "0x" + "ab" * 32


def test_three_levels_give_the_top_owner_the_lowest_operation(world: World, tmp_path: Path) -> None:
    """Acceptance: 43, 44, 77, 79, 81"""
    # Prepare: dt_1 (user) → dt_2 (A) → dt_3 (B)
    made = world.two_banks_of_users(2)
    dt_1 = made.data[0]
    bundle = made.a.site.documents.operation(made.edge).document.bundle
    keeper = gate(world, dt_1, tmp_path)
    made.grant(users=[0])
    # Execute, Assert: a grant alone starts nothing, there is no job
    with pytest.raises(Refused) as caught:
        ask(keeper, fresh(), bundle)
    assert caught.value.reason is Reason.JOB_UNKNOWN
    # Posted, but not announced: refused
    world.user(1).grant(made.data[1], made.composite)
    job = made.post()
    request = made.b.sign_request(job, ARTEFACT, {}, audience=made.composite)
    with pytest.raises(Refused) as caught:
        ask(keeper, job, bundle, request.digest())
    assert caught.value.reason is Reason.NOT_ANNOUNCED
    # Announced: B's job runs dt_1's own operation
    made.a.announce(job, request)
    assert ask(keeper, job, bundle, request.digest()) == made.edge
    # The owner's own revocation ends it
    world.user(0).revoke(dt_1, made.composite)
    with pytest.raises(Refused) as caught:
        ask(keeper, job, bundle, request.digest())
    assert caught.value.reason is Reason.GRANT_REVOKED


def test_guarantor_pauses_reopens_and_closes(world: World) -> None:
    # Prepare
    made = world.two_banks_of_users(1)
    made.grant()
    job, guarantor = made.post(), world.b
    reader = guarantor.site.reader
    # Execute, Assert: each twice
    for act, status in (
        (guarantor.pause, JobStatus.PAUSED),
        (guarantor.reopen, JobStatus.OPEN),
        (guarantor.close_job, JobStatus.CLOSED),
    ):
        act(job)
        act(job)
        assert reader.job(job).status is status
    with pytest.raises(errors.WrongJobStatus):
        guarantor.reopen(job)
    with pytest.raises(errors.UnknownJob):
        guarantor.pause(fresh())
    with pytest.raises(errors.NotJobParty):
        made.grant()
        world.a.pause(made.post())


def test_recorder_that_no_gate_would_accept_is_refused(world: World) -> None:
    """A job has one recorder: the one that the documents name."""
    made = world.two_banks_of_users(1)
    made.grant()
    guarantor = world.b
    task = guarantor.create_task(f"Recorder {made.algorithm}")
    with pytest.raises(BadInputError, match="name the recorder"):
        guarantor.post_job(task, made.algorithm, "0x" + "11" * 20)
    assert guarantor.post_job(task, made.algorithm, RECORDER)
    # None named anywhere
    data = world.user(0).publish(leaf(made.edge)).dt
    silent = made.b.publish(
        composed([data], [{"0": made.edge}], type="algorithm", recorder=None)
    ).dt
    world.user(0).grant(data, silent)
    with pytest.raises(BadInputError, match="name 0 recorders"):
        guarantor.post_job(task, silent)


def test_removed_institution_cannot_post(world: World) -> None:
    made = world.two_banks_of_users(1)
    made.grant()
    newcomer = world.chain.account()
    world.administrator.add_institution(newcomer.address, "Short-lived")
    made.b.name_guarantor(made.algorithm, newcomer.address)
    institution = world.role(Institution, newcomer)
    task = institution.create_task(f"Removed {int(time.time())}")
    world.administrator.remove_institution(newcomer.address)
    with pytest.raises(errors.NotInstitution):
        institution.post_job(task, made.algorithm)
