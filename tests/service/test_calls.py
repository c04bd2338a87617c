"""What the recorder's service refuses, and what it never says."""

import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.rounds.receipts import SignedReceipt
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.recorder import MAX_RECEIPT_BYTES, MAX_WAITING
from datatoken.service.signing import SIGNATURE, sign_request
from datatoken.types import MessageKind
from tests.support.chain import fresh, wait_until
from tests.support.receipts import Node
from tests.support.recorder import PASSWORD, Governed, Running


def post(running: Running, signed: SignedReceipt) -> httpx.Response:
    return httpx.post(running.url + "/receipts", content=canonical_bytes(signed), timeout=10)


def refused(answer: httpx.Response) -> ServiceCode:
    body = answer.json()
    assert set(body) == {"code", "message", "hint"}
    assert answer.status_code >= 400
    return ServiceCode(body["code"])


def code(call: Callable[[], Any]) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.service_code


# Receipts


def test_receipt_sent_twice_gets_the_same_answer(governed: Governed, recorder: Running) -> None:
    signed = governed.nodes[0].receipt(governed.job, fresh())

    first, second = post(recorder, signed), post(recorder, signed)

    assert first.status_code == 200
    assert first.json() == second.json()


def test_forged_receipt_is_refused(governed: Governed, recorder: Running) -> None:
    signed = governed.nodes[0].receipt(governed.job, fresh())
    forged = signed.receipt.model_copy(update={"output": fresh()})

    answer = post(recorder, signed.model_copy(update={"receipt": forged}))

    assert refused(answer) is ServiceCode.RECEIPT_INVALID


def test_delegation_by_somebody_else_than_the_owner_is_refused(
    governed: Governed, recorder: Running
) -> None:
    fake = Node.of(Signer.random(), governed.nodes[0].dt, governed.chain.network)

    answer = post(recorder, fake.receipt(governed.job, fresh()))

    assert refused(answer) is ServiceCode.RECEIPT_INVALID


def test_expired_delegation_is_refused(governed: Governed, recorder: Running) -> None:
    owner = governed.owners[0].signer
    expired = Node.of(owner, governed.nodes[0].dt, governed.chain.network, expiry=1)

    answer = post(recorder, expired.receipt(governed.job, fresh()))

    assert refused(answer) is ServiceCode.DELEGATION_EXPIRED


def test_dt_outside_the_job_is_refused(governed: Governed, recorder: Running) -> None:
    """Nobody fills a round with DTs minted for the purpose."""
    owner = governed.chain.users[4]
    stranger = Node.of(owner.signer, governed.chain.mint(owner), governed.chain.network)

    answer = post(recorder, stranger.receipt(governed.job, fresh()))

    assert refused(answer) is ServiceCode.NOT_ENTITLED


def test_unknown_job_and_job_of_another_recorder_are_refused(
    governed: Governed, recorder: Running
) -> None:
    elsewhere, _, _ = governed.chain.simple_job()

    for job, expected in ((fresh(), "JOB_UNKNOWN"), (elsewhere, "OTHER_RECORDER")):
        answer = post(recorder, governed.nodes[0].receipt(job, fresh()))
        assert refused(answer).value == expected


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"{}", b"\xff", b"[" * 1000, b'{"a":1,"a":2}'], ids=repr
)
def test_malformed_receipt_is_refused(recorder: Running, body: bytes) -> None:
    answer = httpx.post(recorder.url + "/receipts", content=body)

    assert refused(answer) is ServiceCode.MALFORMED


@pytest.mark.parametrize("chunked", [False, True])
def test_oversized_body_is_refused(recorder: Running, chunked: bool) -> None:
    body = b" " * (MAX_RECEIPT_BYTES + 1)

    answer = httpx.post(recorder.url + "/receipts", content=iter([body]) if chunked else body)

    assert refused(answer) is ServiceCode.TOO_LARGE


def test_flooding_participant_fills_its_own_share_only(
    new_job: Callable[[], Governed], start: Callable[..., Running]
) -> None:
    governed = new_job()
    running = start(governed)
    governed.chain.rpc.request("anvil_setBalance", [governed.recorder.address, "0x0"])
    try:
        flood, digest = governed.nodes[0], fresh()
        answers = [
            post(running, flood.receipt(governed.job, digest)) for _ in range(MAX_WAITING + 2)
        ]
        other = post(running, governed.nodes[1].receipt(governed.job, digest))
    finally:
        governed.chain.anvil.fund(governed.recorder.address)

    assert refused(answers[-1]) is ServiceCode.TOO_MANY
    assert answers[0].status_code == other.status_code == 200


# Reading


def test_unauthenticated_service_call_is_refused(governed: Governed, recorder: Running) -> None:
    job = governed.job
    for path in (f"/jobs/{job}/documents", f"/jobs/{job}/proofs/{fresh()}"):
        assert refused(recorder.get(path)) is ServiceCode.REQUEST_UNSIGNED
    answer = httpx.post(f"{recorder.url}/jobs/{job}/rounds", content=b"{}")
    assert refused(answer) is ServiceCode.REQUEST_UNSIGNED


def test_stranger_reads_nothing(governed: Governed, recorder: Running) -> None:
    client = governed.client(recorder.url, Signer.random())

    assert code(lambda: client.documents(governed.job)) is ServiceCode.NOT_ENTITLED
    assert code(lambda: client.proof(governed.job, fresh())) is ServiceCode.NOT_ENTITLED


def test_participants_read_before_they_have_reported(
    new_job: Callable[[], Governed], governed: Governed, recorder: Running
) -> None:
    """An owner by its account, a node by its delegation, the guarantor; nobody else's node."""
    job = new_job()
    for who in (job.owners[0].signer, job.nodes[1], job.chain.b.signer, job.server_node()):
        assert job.client(recorder.url, who).documents(job.job) == []
    alien = Node.of(Signer.random(), job.nodes[0].dt, job.chain.network)
    thief = Node(alien.dt, alien.key, job.nodes[0].delegation)
    for who in (alien, thief):
        client = job.client(recorder.url, who)
        assert code(lambda c=client: c.documents(job.job)) is ServiceCode.NOT_ENTITLED


def test_replayed_request_is_refused_even_after_a_restart(
    new_job: Callable[[], Governed], start: Callable[..., Running]
) -> None:
    """Acceptance: 112."""
    governed = new_job()
    running = start(governed)
    path = f"/jobs/{governed.job}/documents?since=0"
    signer = governed.owners[0].signer
    headers = sign_request(signer, governed.recorder.address, "GET", path)

    first = httpx.get(running.url + path, headers=headers)
    second = httpx.get(running.url + path, headers=headers)
    running.kill()
    running = start(governed)
    third = httpx.get(running.url + path, headers=headers)

    assert first.status_code == 200
    assert refused(second) is refused(third) is ServiceCode.REQUEST_REPLAYED


def test_proof_of_a_logged_receipt_is_served(
    new_job: Callable[[], Governed], governed: Governed, recorder: Running
) -> None:
    """Acceptance: 107."""
    job = new_job()
    node = job.nodes[0]
    client = job.client(recorder.url, node)
    signed = node.receipt(job.job, fresh())
    client.post_receipt(signed)
    digest = signed.receipt.digest()
    assert code(lambda: client.proof(job.job, digest)) is ServiceCode.RECEIPT_UNKNOWN

    client.post_receipt(node.receipt(job.job, fresh()))
    job.wait_round(1)

    assert client.proof(job.job, digest).header.head() == job.head()[0]


# Naming


def test_only_a_composite_s_owner_names_rounds(
    new_job: Callable[[], Governed], recorder: Running
) -> None:
    job = new_job()
    about = {"run": "1", "kind": MessageKind.TRAIN, "input_digest": fresh(), "expected": 1}
    for who in (job.nodes[0], job.owners[0].signer, Signer.random(), job.chain.users[5].signer):
        client = job.client(recorder.url, who)
        assert code(lambda c=client: c.name_round(job.job, **about)) is ServiceCode.NOT_ENTITLED
    for who in (job.chain.a.signer, job.chain.b.signer, job.server_node()):
        job.client(recorder.url, who).name_round(job.job, **about)


def test_naming_admits_and_removes_no_receipt(
    new_job: Callable[[], Governed], recorder: Running
) -> None:
    """A server that names one member closes early; the others' receipts are logged all the same."""
    job = new_job()
    server = job.client(recorder.url, job.chain.a.signer)
    first, *others = job.round(fresh())
    server.name_round(
        job.job, run="1", kind=MessageKind.TRAIN, input_digest=first.receipt.input,
        members=[first.receipt.dt, fresh()], expected=1,
    )  # fmt: skip
    server.name_round(
        job.job, run="1", kind=MessageKind.TRAIN, input_digest=first.receipt.input, expected=1
    )

    for signed in (first, *others):
        server.post_receipt(signed)
    wait_until(lambda: sum(d.size for d in server.documents(job.job)) == 3)

    logged = [r.receipt for d in server.documents(job.job) for r in d.receipts]
    assert logged == [signed.receipt for signed in (first, *others)]


def test_malformed_naming_is_refused(new_job: Callable[[], Governed], recorder: Running) -> None:
    job = new_job()
    path, signer = f"/jobs/{job.job}/rounds", job.chain.a.signer
    good = {"run": "1", "kind": "train", "input": fresh()}
    bad = [
        {**good, "by": signer.address}, {**good, "expected": 0}, {**good, "extra": 1},
        {**good, "annotations": {"a": "x" * 2000}}, {**good, "kind": "steal"}, [], "x",
    ]  # fmt: skip
    for plain in bad:
        body = json.dumps(plain).encode()
        headers = sign_request(signer, job.recorder.address, "POST", path, body)
        answer = httpx.post(recorder.url + path, content=body, headers=headers)
        assert refused(answer) is ServiceCode.MALFORMED


# The rest


def test_unknown_addresses_and_methods_answer_in_json(
    governed: Governed, recorder: Running
) -> None:
    assert refused(recorder.get("/nothing")) is ServiceCode.NOT_FOUND
    assert refused(recorder.get("/receipts")) is ServiceCode.METHOD_NOT_ALLOWED
    signer, path = governed.owners[0].signer, "/jobs/0xAB/documents"
    headers = sign_request(signer, governed.recorder.address, "GET", path)
    answer = httpx.get(recorder.url + path, headers=headers)
    assert refused(answer) is ServiceCode.MALFORMED


def test_openapi_describes_every_route(recorder: Running) -> None:
    document = recorder.get("/openapi.json").json()

    assert set(document["paths"]) == {
        "/receipts", "/jobs/{job}/documents", "/jobs/{job}/proofs/{receipt}",
        "/jobs/{job}/rounds", "/jobs/{job}/introductions", "/healthz", "/metrics",
    }  # fmt: skip
    named = set(document["components"]["schemas"])
    text = json.dumps(document)
    for part in text.split('"#/components/schemas/')[1:]:
        assert part.split('"')[0] in named


def test_metrics_count_refusals_without_naming_anybody(
    governed: Governed, recorder: Running
) -> None:
    post(recorder, governed.nodes[0].receipt(fresh(), fresh()))

    metrics = recorder.get("/metrics").text

    assert 'calls_total{endpoint="receipts",outcome="JOB_UNKNOWN"}' in metrics
    assert "0x" not in metrics


def test_secret_in_a_log_there_is_none(
    new_job: Callable[[], Governed], start: Callable[..., Running]
) -> None:
    governed = new_job()
    running = start(governed)
    client = governed.client(running.url, governed.nodes[0])
    for signed in governed.round(fresh()) + governed.round(fresh())[:1]:
        client.post_receipt(signed)
    path = f"/jobs/{governed.job}/documents"
    headers = sign_request(governed.owners[0].signer, governed.recorder.address, "GET", path)
    httpx.get(running.url + path, headers=headers)
    httpx.post(running.url + "/receipts", content=b"secret-looking garbage")
    governed.wait_round(1)
    running.stop()

    text = running.log.read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    key = bytes(governed.recorder.signer._account.key).hex()

    assert {"recorder listens", "receipt", "round logged"} <= {line["event"] for line in lines}
    for secret in (PASSWORD, key, headers[SIGNATURE], "garbage", signed.signature):
        assert secret not in text


def test_recorder_that_is_not_the_named_one_acknowledges_nothing(
    governed: Governed, recorder: Running
) -> None:
    impostor = governed.client(recorder.url, governed.nodes[0])
    impostor.recorder = Signer.random().address

    with pytest.raises(Refused) as caught:
        impostor.post_receipt(governed.nodes[0].receipt(governed.job, fresh()))

    assert caught.value.reason is Reason.RECORDER_UNREACHABLE
