"""The usage index: every job that an asset has authorised, how, and by whom."""

import pytest

from datatoken.errors import BadInputError
from datatoken.roles import AlgorithmProvider, DataProvider, Regulator
from datatoken.store import cid_of
from datatoken.store.cid import flatfs_key
from datatoken.trace import GrantState, usage
from datatoken.types import Hex32, JobStatus
from tests.support.chain import fresh
from tests.support.world import RECORDER, World, composed, leaf


def log_rounds(world: World, job: Hex32, account: object, number: int) -> list[Hex32]:
    """Append rounds to a job's log from an account and return their document digests."""
    documents = [fresh() for _ in range(number)]
    log = world.chain.contracts.log
    for document in documents:
        head, _ = log.head(job, account.address)  # type: ignore[attr-defined]
        account.send(log.append(job, head, document))  # type: ignore[attr-defined]
    return documents


def test_low_level_owner_finds_every_job_above_it(world: World) -> None:
    """Acceptance: 9, 43, 49, 50, 78"""
    # Prepare: user → A's composite → two algorithms, and one user's own grant to a third
    chain = world.chain
    edge = world.operation(name="EdgeComp", parameters={"lr": {"type": "float"}})
    average = world.operation("server", name="FedAverage")
    user, owner = world.user(0), world.role(DataProvider, chain.a)
    data = user.publish(leaf(edge, name="My ECG")).dt
    stage = {"0": edge, "self": average}
    recorder = chain.users[5]
    composite = owner.publish(
        composed(
            [data],
            [stage],
            name="Users of A",
            parameters={edge: {"lr": 0.1}},
            recorder=recorder.address,
        )
    ).dt
    provider = world.role(AlgorithmProvider, chain.b)
    named = {"type": "algorithm", "recorder": None}
    first, second = (
        provider.publish(composed([composite], [{"0": "self"}], name=name, **named)).dt  # type: ignore[arg-type]
        for name in ("Heart model", "Sleep model")
    )
    third = provider.publish(
        composed([data], [{"0": edge}], type="algorithm", name="Direct", recorder=RECORDER)
    ).dt
    user.grant(data, composite, max_rounds=9)
    owner.grant(composite, first)
    owner.grant(composite, second)
    user.grant(data, third)
    guarantor = world.b
    task = guarantor.create_task(f"Trace {data}")
    jobs = [guarantor.post_job(task, dt) for dt in (first, second, third)]
    request = provider.sign_request(jobs[0], fresh(), {})
    owner.announce(jobs[0], request)
    documents = log_rounds(world, jobs[0], recorder, 3)
    log_rounds(world, jobs[0], chain.users[4], 2)  # a stranger's log of the same job
    guarantor.close_job(jobs[1])
    # Execute: a regulator needs neither account nor permission
    found = Regulator(world.site("regulator")).trace(data)
    # Assert
    assert [use.job for use in found] == jobs
    assert [use.algorithm_name for use in found] == ["Heart model", "Sleep model", "Direct"]
    heart, sleep, direct = found
    assert heart.uses[0].path == (data, composite, first)
    assert heart.uses[0].names == ("My ECG", "Users of A", "Heart model")
    assert (heart.uses[0].operation_name, heart.uses[0].server_operation_name) == (
        "EdgeComp",
        "FedAverage",
    )
    assert heart.uses[0].parameters == {"lr": 0.1}
    assert heart.purpose == "research"
    assert (heart.guarantor.account, heart.guarantor.name) == (chain.b.address, "Institution B")
    assert heart.algorithm_owner.name == "Institution B"
    assert heart.recorder.account == recorder.address
    assert [logged.document for logged in heart.rounds] == documents
    assert [logged.number for logged in heart.rounds] == [1, 2, 3]
    assert [a.request for a in heart.announcements] == [request.digest()]
    assert [(e.child, e.parent, e.max_rounds) for e in heart.edges] == [
        (data, composite, 9),
        (composite, first, 0),
    ]
    assert heart.standing and direct.standing
    assert sleep.status is JobStatus.CLOSED and not sleep.standing
    assert direct.uses[0].path == (data, third)
    # The composite's owner asks, too; the algorithm's owner sees one job
    assert [use.job for use in usage(world.site("a"), composite)] == jobs[:2]
    assert [use.job for use in usage(world.site("b"), third)] == jobs[2:]


def test_a_revoked_grant_hides_no_use(world: World) -> None:
    """Acceptance: 49"""
    made = world.two_banks_of_users(2)
    made.grant()
    job = made.post()
    world.user(0).revoke(made.data[0], made.composite)
    mine, other = (usage(world.site("x"), dt) for dt in made.data)
    assert [use.job for use in mine] == [use.job for use in other] == [job]
    assert mine[0].edges[0].state is GrantState.REVOKED and not mine[0].standing
    assert other[0].standing


def test_nothing_is_shown_that_was_not_authorised(world: World) -> None:
    """A grant to a parent that does not name the DT opens nothing, so that it shows nothing."""
    # Prepare: a posted job of strangers; a mistaken grant past the SDK's check
    chain, made = world.chain, world.two_banks_of_users(1)
    made.grant()
    made.post()
    outsider = world.user(1).publish(leaf(made.edge)).dt
    chain.users[1].send(chain.contracts.tokens.grant(outsider, made.composite))
    ungranted = world.two_banks_of_users(1)
    # Execute, Assert
    assert usage(world.site("x"), outsider) == ()
    assert usage(world.site("x"), ungranted.data[0]) == ()
    with pytest.raises(BadInputError, match="no DT"):
        usage(world.site("x"), fresh())


def test_a_lost_document_hides_no_job(world: World) -> None:
    """Acceptance: 9, 49"""
    # Prepare: the store loses the composite's DDO
    made = world.two_banks_of_users(1)
    made.grant()
    job = made.post()
    record = world.site("x").documents.record(made.composite)
    for path in world.store_folder.rglob(f"{flatfs_key(record.ddo)}.data"):
        path.unlink()
    # Execute
    found = usage(world.site("reader"), made.data[0])
    # Assert: who and when are on the chain; how is not known, and it says so
    assert [use.job for use in found] == [job]
    assert found[0].uses == ()
    assert cid_of(record.ddo) in found[0].unread
    assert found[0].guarantor.name == "Institution B"


def test_an_expired_grant_is_told_apart(world: World) -> None:
    from datatoken.authorization.view import Grant
    from datatoken.trace.usage import grant_state

    assert grant_state(Grant(expiry=100, active=True), 100) is GrantState.EXPIRED
    assert grant_state(Grant(expiry=100, active=True), 99) is GrantState.ACTIVE
    assert grant_state(Grant(active=True), 10**10) is GrantState.ACTIVE
    assert grant_state(Grant(epoch=1), 0) is GrantState.REVOKED
    assert grant_state(Grant(), 0) is GrantState.MISSING
