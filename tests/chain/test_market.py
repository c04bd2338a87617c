"""Tasks and jobs: what a posting asks for, on a real chain."""

from collections.abc import Callable

import pytest

from datatoken.chain import errors
from datatoken.chain.contract import Contract
from datatoken.chain.events import JobAnnounced, JobPosted, RoundLogged, TaskClosed
from datatoken.types import ZERO32, AssetKind, JobStatus
from tests.support.chain import Account, Chain, fresh

EMPTY_HEAD = "0x" + "00" * 28


@pytest.fixture
def tree(chain: Chain) -> tuple[str, str, list[str], list[str]]:
    """Return (algorithm, composite, leaves, below): three users below A below B."""
    leaves = [chain.mint(user) for user in chain.users[:3]]
    composite = chain.mint(chain.a, AssetKind.DATA, leaves)
    algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [composite])
    for user, leaf in zip(chain.users, leaves, strict=False):
        chain.grant(user, leaf, composite)
    chain.grant(chain.a, composite, algorithm)
    return algorithm, composite, leaves, [composite, *leaves]


def test_a_job_is_posted_with_all_grants(chain: Chain, tree: tuple) -> None:
    """Acceptance: 14, 45, 46."""
    algorithm, _, _, below = tree

    receipt = chain.b.send(
        chain.contracts.market.post_job(chain.task(chain.b), algorithm, chain.a.address, below)
    )

    event = receipt.event(JobPosted)
    job = chain.reader().job(event.job)
    assert (event.algorithm, event.guarantor) == (algorithm, chain.b.address)
    assert (job.status, job.algorithm, job.recorder) == (
        JobStatus.OPEN,
        algorithm,
        chain.a.address,
    )
    assert job.guarantor_registered
    assert job.task_open
    assert chain.contracts.market.job(event.job).algorithm == algorithm


@pytest.mark.parametrize("missing", [0, 1, 2, 3])
def test_posting_with_one_grant_missing(chain: Chain, missing: int) -> None:
    """Acceptance: 45, 48."""
    leaves = [chain.mint(user) for user in chain.users[:3]]
    composite = chain.mint(chain.a, AssetKind.DATA, leaves)
    algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [composite])
    edges = [
        *((user, leaf, composite) for user, leaf in zip(chain.users, leaves, strict=False)),
        (chain.a, composite, algorithm),
    ]
    for edge in (edge for i, edge in enumerate(edges) if i != missing):
        chain.grant(*edge)

    with pytest.raises(errors.MissingGrant) as refused:
        chain.post(chain.b, algorithm, [composite, *leaves])

    _, child, parent = edges[missing]
    assert refused.value.arguments == {"parent": parent, "child": child}
    assert child in refused.value.hint
    assert refused.value.code == "MISSING_GRANT"


def test_posting_with_none_granted(chain: Chain) -> None:
    """Acceptance: 48."""
    data = chain.mint(chain.users[0])
    algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [data])

    with pytest.raises(errors.MissingGrant):
        chain.post(chain.b, algorithm, [data])


def test_posting_with_a_revoked_grant(chain: Chain, tree: tuple) -> None:
    """Acceptance: 45, 48."""
    algorithm, composite, leaves, below = tree
    chain.users[1].send(chain.contracts.tokens.revoke(leaves[1], composite))

    with pytest.raises(errors.GrantRevoked) as refused:
        chain.post(chain.b, algorithm, below)

    assert refused.value.arguments == {"parent": composite, "child": leaves[1]}


def test_posting_with_an_expired_grant(new_chain: Callable[..., Chain]) -> None:
    """Acceptance: 45, 48."""
    own = new_chain()
    data = own.mint(own.users[0])
    algorithm = own.mint(own.b, AssetKind.ALGORITHM, [data])
    expiry = own.time() + 100
    own.grant(own.users[0], data, algorithm, expiry=expiry)
    own.rpc.request("evm_increaseTime", [200])
    own.rpc.request("evm_mine")

    with pytest.raises(errors.GrantExpired) as refused:
        own.post(own.b, algorithm, [data])

    assert refused.value.arguments["expiry"] == expiry


@pytest.mark.parametrize("change", ["left out", "swapped", "replaced", "too many"])
def test_posting_with_other_children_than_minted(chain: Chain, tree: tuple, change: str) -> None:
    """Acceptance: 48."""
    algorithm, composite, leaves, below = tree
    lists = {
        "left out": below[:-1],
        "swapped": [composite, leaves[1], leaves[0], leaves[2]],
        "replaced": [composite, *leaves[:2], chain.mint(chain.users[0])],
        "too many": [*below, leaves[0]],
    }

    with pytest.raises((errors.ChildrenMismatch, errors.ClosureLeftover, errors.ClosureExceeded)):
        chain.post(chain.b, algorithm, lists[change])


def test_nesting_deeper_than_two_levels(chain: Chain) -> None:
    """Acceptance: 16."""
    chain_of = [chain.mint(chain.a)]
    for _ in range(4):
        parent = chain.mint(chain.a, AssetKind.DATA, [chain_of[-1]])
        chain.grant(chain.a, chain_of[-1], parent)
        chain_of.append(parent)
    algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [chain_of[-1]])
    chain.grant(chain.a, chain_of[-1], algorithm)

    job = chain.post(chain.b, algorithm, chain_of[::-1])

    assert chain.reader().job(job).status is JobStatus.OPEN


def test_a_task_holds_several_jobs(chain: Chain) -> None:
    """Acceptance: 15."""
    task = chain.task(chain.b)
    jobs = []
    for _ in range(2):
        data = chain.mint(chain.users[0])
        algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [data])
        chain.grant(chain.users[0], data, algorithm)
        intent = chain.contracts.market.post_job(task, algorithm, chain.b.address, [data])
        jobs.append(chain.b.send(intent).event(JobPosted).job)

    assert {chain.reader().job(job).task for job in jobs} == {task}
    assert len(set(jobs)) == 2


def test_only_a_trusted_institution_posts(chain: Chain) -> None:
    """A user owns an algorithm, and still cannot post it.

    Acceptance: 47.
    """
    user = chain.users[0]
    data = chain.mint(user)
    algorithm = chain.mint(user, AssetKind.ALGORITHM, [data])
    chain.grant(user, data, algorithm)

    with pytest.raises(errors.NotInstitution):
        chain.post(user, algorithm, [data])


def test_an_institution_posts_for_others_only_when_named(chain: Chain) -> None:
    """Acceptance: 8, 47."""
    user = chain.users[0]
    data = chain.mint(user)
    algorithm = chain.mint(user, AssetKind.ALGORITHM, [data])
    chain.grant(user, data, algorithm)

    with pytest.raises(errors.NotGuarantor):
        chain.post(chain.a, algorithm, [data])
    user.send(chain.contracts.market.name_guarantor(algorithm, chain.a.address))
    assert chain.contracts.market.is_named(algorithm, chain.a.address)

    job = chain.post(chain.a, algorithm, [data])

    assert chain.reader().job(job).guarantor == chain.a.address


def test_only_algorithms_become_jobs(chain: Chain) -> None:
    """Acceptance: 46."""
    data = chain.mint(chain.b)
    composite = chain.mint(chain.b, AssetKind.DATA, [data])
    chain.grant(chain.b, data, composite)

    with pytest.raises(errors.NotAlgorithm):
        chain.post(chain.b, composite, [data])


def test_a_grant_alone_makes_no_job(chain: Chain) -> None:
    """Acceptance: 44."""
    data = chain.mint(chain.users[0])
    algorithm = chain.mint(chain.b, AssetKind.ALGORITHM, [data])
    chain.grant(chain.users[0], data, algorithm)

    job = chain.reader().job(fresh())

    assert job.status is JobStatus.NONE
    assert chain.reader().grant(algorithm, data).active


def test_announcing_is_for_the_composites_owner(chain: Chain, tree: tuple) -> None:
    """Acceptance: 77."""
    algorithm, composite, _, below = tree
    job, request = chain.post(chain.b, algorithm, below), fresh()
    market = chain.contracts.market
    assert chain.reader().announcement(job, composite) == ZERO32

    with pytest.raises(errors.NotTokenOwner):
        chain.b.send(market.announce(job, composite, request))
    event = chain.a.send(market.announce(job, composite, request)).event(JobAnnounced)

    assert (event.job, event.composite, event.request) == (job, composite, request)
    assert chain.reader().announcement(job, composite) == request
    assert market.announcement(job, composite) == request
    snapshot = chain.reader().snapshot(job, [(composite, algorithm)])
    assert snapshot.announcements == {composite: request}


def test_pause_reopen_close(chain: Chain) -> None:
    job, _, _ = chain.simple_job()
    market, reader = chain.contracts.market, chain.reader()
    before = reader.check(job).counter

    chain.b.send(market.pause(job))
    assert reader.check(job).status is JobStatus.PAUSED
    chain.b.send(market.reopen(job))
    assert reader.check(job).status is JobStatus.OPEN
    with pytest.raises(errors.NotJobParty):
        chain.a.send(market.close(job))
    chain.b.send(market.close(job))

    after = reader.check(job)
    assert after.status is JobStatus.CLOSED
    assert after.counter >= before + 2
    with pytest.raises(errors.WrongJobStatus):
        chain.b.send(market.reopen(job))


def test_no_job_under_a_closed_or_foreign_task(chain: Chain, tree: tuple) -> None:
    algorithm, _, _, below = tree
    market = chain.contracts.market
    closed, foreign = chain.task(chain.b), chain.task(chain.a)
    assert chain.b.send(market.close_task(closed)).event(TaskClosed).id == closed

    with pytest.raises(errors.TaskNotOpen):
        chain.b.send(market.post_job(closed, algorithm, chain.b.address, below))
    with pytest.raises(errors.NotTaskOwner):
        chain.b.send(market.post_job(foreign, algorithm, chain.b.address, below))

    assert market.task(closed).status == 2
    owner, status, _, _ = chain.reader().task(foreign)
    assert (owner, status) == (chain.a.address, 1)


class TestRoundLog:
    """One transaction a round; the caller passes the head that it builds on."""

    def test_a_round_is_one_transaction(self, chain: Chain) -> None:
        """Acceptance: 106."""
        job, _, _ = chain.simple_job()

        first = self._append(chain, chain.b, job, EMPTY_HEAD)
        second = self._append(chain, chain.b, job, first.head)

        assert (first.round, second.round) == (1, 2)
        assert chain.reader().head(job, chain.b.address) == (second.head, 2)
        assert chain.contracts.log.head(job, chain.b.address) == (second.head, 2)
        check = chain.reader().check(job)
        assert (check.head, check.round) == (second.head, 2)

    def test_a_repeated_round_reverts(self, chain: Chain) -> None:
        """Acceptance: 106."""
        job, _, _ = chain.simple_job()
        intent = chain.contracts.log.append(job, EMPTY_HEAD, fresh())
        chain.b.send(intent)

        with pytest.raises(errors.StaleHead):
            chain.b.send(intent)

    def test_a_strangers_log_does_not_move_the_recorders_head(self, chain: Chain) -> None:
        job, _, _ = chain.simple_job()

        self._append(chain, chain.users[1], job, EMPTY_HEAD)

        assert chain.reader().check(job).round == 0

    @staticmethod
    def _append(chain: Chain, who: Account, job: str, head: str) -> RoundLogged:
        return who.send(chain.contracts.log.append(job, head, fresh())).event(RoundLogged)


def test_check_closure_says_beforehand_what_posting_would(chain: Chain, tree: tuple) -> None:
    """Acceptance: 48."""
    algorithm, composite, leaves, below = tree
    tokens: Contract = chain.contracts.tokens

    chain.contracts.tokens.check_closure(algorithm, below)
    chain.users[0].send(chain.contracts.tokens.revoke(leaves[0], composite))

    with pytest.raises(errors.GrantRevoked):
        chain.contracts.tokens.check_closure(algorithm, below)
    assert tokens.address == chain.network.tokens
