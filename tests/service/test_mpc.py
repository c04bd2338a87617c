"""The recorder and the parties of an MPC run: introductions, and rounds of all parties."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.rounds.documents import Closing
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.rendezvous import MAX_INTRODUCTION_BYTES, MAX_KEPT, Introductions
from datatoken.types import Hex32, MessageKind
from tests.support.chain import Chain, fresh
from tests.support.receipts import Node
from tests.support.recorder import Governed, GovernedMpc, Running


@pytest.fixture(scope="module")
def parties(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> GovernedMpc:
    """An MPC job of four DTs; the terms close a round after an hour."""
    return GovernedMpc(chain, tmp_path_factory.mktemp("store"), chain.account(), timeout=3600)


@pytest.fixture(scope="module")
def courier(parties: GovernedMpc, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The recorder of that job."""
    running = Running(parties, tmp_path_factory.mktemp("recorder"))
    yield running
    running.stop()


def introduction(job: Hex32, request: Hex32, dt: Hex32, **more: Any) -> bytes:
    """Return what the recorder looks at, and something that it does not."""
    inner = {"job": job, "request": request, "dt": dt, "control": {"port": 1}} | more
    return canonical_bytes({"introduction": inner, "signature": "0x"})


def code(call: Callable[[], Any]) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.service_code


# Rounds


def test_checkpoints_of_all_parties_are_logged_one_transaction_each(
    parties: GovernedMpc, courier: Running, tmp_path: Path
) -> None:
    """A fast party's next checkpoint arrives before a slow one's receipt of the last.

    Acceptance: 106, 107, 110
    """
    job = parties.again()
    client = job.client(courier.url, job.nodes[0])
    first, second, third = (job.round(fresh()) for _ in range(3))

    for signed in (*first[:3], *second[:3], third[0], second[3]):
        client.post_receipt(signed)
    job.wait_round(1)
    for signed in (first[3], *third[1:]):
        client.post_receipt(signed)
    job.wait_round(3)

    documents = client.documents(job.job)
    assert [d.closing for d in documents] == [Closing.COMPLETE] * 3
    assert [len(d.receipts) for d in documents] == [4, 4, 4]
    log = job.follower(courier.url, job.nodes[1], tmp_path / "log").update(job.job, *job.head())
    assert [group.members for group in log.groups] == [frozenset(job.leaves)] * 3


def test_party_that_never_reports_the_round_ends_at_the_terms_timeout(
    chain: Chain, tmp_path: Path, start: Callable[..., Running]
) -> None:
    """Whatever the algorithm's owner says is expected."""
    job = GovernedMpc(chain, tmp_path / "store", chain.account(), timeout=2)
    running = start(job)
    owner = job.client(running.url, chain.b.signer)
    receipts = job.round(fresh())
    about = receipts[0].receipt
    owner.name_round(
        job.job, run=about.run, kind=MessageKind.TRAIN, input_digest=about.input, expected=1
    )

    for signed in receipts[:3]:
        owner.post_receipt(signed)
    job.wait_round(1)

    [document] = owner.documents(job.job)
    assert (document.closing, document.size) == (Closing.TIMEOUT, 3)


def test_recorder_killed_between_two_checkpoints_loses_and_doubles_nothing(
    parties: GovernedMpc, start: Callable[..., Running]
) -> None:
    """Acceptance: 106."""
    job = parties.again()
    running = start(job)
    client = job.client(running.url, job.nodes[0])
    first, second = job.round(fresh()), job.round(fresh())
    for signed in (*first[:2], *second[:2]):
        client.post_receipt(signed)
    running.kill()

    running = start(job)
    client = job.client(running.url, job.nodes[0])
    for signed in (*second, *first):
        client.post_receipt(signed)
    job.wait_round(2)

    documents = client.documents(job.job)
    assert [d.closing for d in documents] == [Closing.COMPLETE] * 2
    assert [{r.receipt.input for r in d.receipts} for d in documents] == [
        {second[0].receipt.input}, {first[0].receipt.input},
    ]  # fmt: skip


# Introductions


def test_parties_find_each_others_introductions(parties: GovernedMpc, courier: Running) -> None:
    request = fresh()
    left = []
    for node in parties.nodes:
        client = parties.client(courier.url, node)
        left.append(introduction(parties.job, request, node.dt))
        client.introduce(parties.job, left[-1])
        client.introduce(parties.job, left[-1])  # again is safe

    for node in parties.nodes:
        assert parties.client(courier.url, node).introductions(parties.job, request) == left
    assert parties.client(courier.url, parties.nodes[0]).introductions(parties.job, fresh()) == []


def test_second_introduction_of_a_dt_is_refused_and_the_first_stays(
    parties: GovernedMpc, courier: Running
) -> None:
    request, node = fresh(), parties.nodes[0]
    client = parties.client(courier.url, node)
    first = introduction(parties.job, request, node.dt)
    client.introduce(parties.job, first)

    other = introduction(parties.job, request, node.dt, control={"port": 2})
    assert code(lambda: client.introduce(parties.job, other)) is ServiceCode.INTRODUCED_ALREADY

    assert client.introductions(parties.job, request) == [first]


def test_nobody_introduces_another_ones_dt(parties: GovernedMpc, courier: Running) -> None:
    """Another party's node, the algorithm's owner, a stranger with a delegation of its own."""
    request = fresh()
    victim, other, *_ = parties.nodes
    forged = introduction(parties.job, request, victim.dt)
    stranger = Signer.random()
    outsider = Node.of(stranger, victim.dt, parties.chain.network)
    elsewhere = Node.of(parties.owners[0].signer, fresh(), parties.chain.network)

    by_other = parties.client(courier.url, other)
    assert code(lambda: by_other.introduce(parties.job, forged)) is ServiceCode.MALFORMED
    for who in (parties.chain.b.signer, parties.owners[0].signer, outsider, elsewhere):
        client = parties.client(courier.url, who)
        assert code(lambda: client.introduce(parties.job, forged)) is ServiceCode.NOT_ENTITLED  # noqa: B023

    assert parties.client(courier.url, victim).introductions(parties.job, request) == []


def test_introductions_are_for_participants_only(parties: GovernedMpc, courier: Running) -> None:
    request = fresh()
    path = f"{courier.url}/jobs/{parties.job}/introductions?request={request}"
    stranger = parties.client(courier.url, Signer.random())

    assert httpx.get(path).json()["code"] == ServiceCode.REQUEST_UNSIGNED
    assert code(lambda: stranger.introductions(parties.job, request)) is ServiceCode.NOT_ENTITLED
    assert parties.client(courier.url, parties.chain.b.signer).introductions(
        parties.job, request
    ) == []  # fmt: skip


def test_malformed_introductions_are_refused(parties: GovernedMpc, courier: Running) -> None:
    node, request = parties.nodes[0], fresh()
    client = parties.client(courier.url, node)
    good = introduction(parties.job, request, node.dt)
    wrong = [
        b"", b"[]", b"{}", b'{"introduction":[]}', good + b" ", b"\xff", b"[" * 5000,
        introduction(fresh(), request, node.dt), introduction(parties.job, "0x12", node.dt),
        introduction(parties.job, request.upper(), node.dt),
    ]  # fmt: skip

    for content in wrong:
        assert code(lambda: client.introduce(parties.job, content)) is ServiceCode.MALFORMED  # noqa: B023
    large = introduction(parties.job, request, node.dt, x="y" * MAX_INTRODUCTION_BYTES)
    assert code(lambda: client.introduce(parties.job, large)) is ServiceCode.TOO_LARGE
    assert code(lambda: client.introductions(parties.job, "0x12")) is ServiceCode.MALFORMED


def test_introductions_survive_a_restart(
    parties: GovernedMpc, start: Callable[..., Running]
) -> None:
    job, request = parties.again(), fresh()
    node = job.nodes[0]
    running = start(job)
    job.client(running.url, node).introduce(job.job, introduction(job.job, request, node.dt))
    running.kill()

    running = start(job)

    found = job.client(running.url, node).introductions(job.job, request)
    assert found == [introduction(job.job, request, node.dt)]


def test_party_that_floods_pushes_out_its_own_introductions_only(tmp_path: Path) -> None:
    kept = Introductions(tmp_path / "introductions.sqlite")
    job, mine, other = fresh(), fresh(), fresh()
    requests = [fresh() for _ in range(MAX_KEPT + 5)]
    kept.add(job, requests[0], other, b"other")

    for request in requests:
        assert kept.add(job, request, mine, request.encode()) == request.encode()

    assert kept.of(job, requests[0]) == [b"other"]
    assert kept.of(job, requests[-1]) == [requests[-1].encode()]
    with sqlite3.connect(tmp_path / "introductions.sqlite") as db:
        assert db.execute("SELECT count(*) FROM introductions").fetchone() == (MAX_KEPT + 1,)
    kept.close()


def test_flower_job_has_no_parties_and_its_rounds_end_as_ever(
    new_job: Callable[[], Governed], recorder: Running
) -> None:
    job = new_job()
    client = job.client(recorder.url, job.nodes[0])
    for signed in (*job.round(fresh()), job.nodes[0].receipt(job.job, fresh())):
        client.post_receipt(signed)
    job.wait_round(1)

    assert [d.closing for d in client.documents(job.job)] == [Closing.NEXT]
