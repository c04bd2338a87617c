"""Who may see and have what, and what a hostile operation or client can't get."""

import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from datatoken.authorization.reasons import Refused
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import JobRun, RunState
from datatoken.service.problems import ServiceCode, ServiceError, ServiceUnreachableError
from datatoken.service.signing import ACCOUNT, NONCE, sign_request
from datatoken.types import Hex32
from tests.support.asset_service import Bank, Serving
from tests.support.chain import fresh

Start = Callable[..., Serving]
ROW = "Mrs X"


def problem(call: Callable[[], object]) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.service_code


def http(serving: Serving) -> httpx.Client:
    assert serving.certificate is not None
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    return httpx.Client(base_url=serving.url, verify=trust, timeout=20)


def ran(bank: Bank, serving: Serving, mode: str = "quick") -> tuple[Hex32, JobRun]:
    """Return a job and a finished run of it."""
    job = bank.post()
    run = serving.requester().start(job, bank.request(job, mode=mode))
    serving.wait_state(run.id, RunState.FINISHED)
    return job, run


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/jobs"),
        ("POST", "/authorizations"),
        ("GET", "/jobs"),
        ("GET", "/authorizations"),
        ("GET", "/jobs/" + "0" * 32),
        ("GET", "/jobs/" + "0" * 32 + "/results"),
        ("GET", "/jobs/" + "0" * 32 + "/logs"),
        ("POST", "/jobs/" + "0" * 32 + "/stop"),
        ("POST", "/authorizations/" + "0" * 32 + "/approve"),
    ],
)
def test_unauthenticated_service_call(shared: Serving, method: str, path: str) -> None:
    """Acceptance: 112."""
    with http(shared) as client:
        answer = client.request(method, path, content=b"{}" if method == "POST" else None)

    assert (answer.status_code, answer.json()["code"]) == (401, "REQUEST_UNSIGNED")


def test_replayed_http_request_after_a_restart(bank: Bank, start: Start) -> None:
    """Acceptance: 112."""
    serving = start(bank)
    headers = sign_request(bank.provider.signer, serving.account, "GET", "/jobs")
    with http(serving) as client:
        assert client.get("/jobs", headers=headers).status_code == 200
    serving.kill()
    serving.start()

    with http(serving) as client:
        again = client.get("/jobs", headers=headers)
        other = client.get("/jobs", headers=headers | {NONCE: "0" * 32})

    assert (again.status_code, again.json()["code"]) == (401, "REQUEST_REPLAYED")
    assert (other.status_code, other.json()["code"]) == (401, "REQUEST_SIGNATURE")


def test_request_for_another_service(shared: Serving) -> None:
    """A call that is signed for one service can't be passed on to another one."""
    elsewhere = Signer.random().address
    headers = sign_request(shared.bank.provider.signer, elsewhere, "GET", "/jobs")

    with http(shared) as client:
        answer = client.get("/jobs", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "REQUEST_SIGNATURE")


@pytest.mark.parametrize("off", [-3600, 3600])
def test_expired_or_postdated_request(shared: Serving, off: int) -> None:
    signer = shared.bank.provider.signer
    headers = sign_request(signer, shared.account, "GET", "/jobs", clock=lambda: time.time() + off)

    with http(shared) as client:
        answer = client.get("/jobs", headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "REQUEST_STALE")


@pytest.mark.parametrize("change", ["body", "path", "method", "query", "account"])
def test_tampered_request(shared: Serving, change: str) -> None:
    """Whoever carries a signed call changes nothing of it. Acceptance: 112."""
    signer = shared.bank.provider.signer
    body = canonical_bytes({"child": fresh(), "parent": fresh()})
    headers = sign_request(signer, shared.account, "POST", "/authorizations", body)
    method, path = "POST", "/authorizations"
    if change == "body":
        body = canonical_bytes({"child": fresh(), "parent": fresh()})
    elif change == "path":
        path = "/jobs"
    elif change == "method":
        method, body = "GET", b""
    elif change == "query":
        path += "?asset=0x"
    else:
        headers[ACCOUNT] = shared.bank.owner.address

    with http(shared) as client:
        answer = client.request(method, path, content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (401, "REQUEST_SIGNATURE")


def test_oversize_body(shared: Serving) -> None:
    body = b'{"job": "' + b"0" * 20_000 + b'"}'
    headers = sign_request(shared.bank.provider.signer, shared.account, "POST", "/jobs", body)

    with http(shared) as client:
        answer = client.post("/jobs", content=body, headers=headers)
        floods = [client.post("/jobs", content=b"x" * size) for size in (100_000, 8_000_000)]

    assert (answer.status_code, answer.json()["code"]) == (413, "TOO_LARGE")
    assert [flood.status_code for flood in floods] == [413, 413]


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"job":1}', b'{"job":"0x","x":1}', b"\xff"])
def test_malformed_body(shared: Serving, body: bytes) -> None:
    headers = sign_request(shared.bank.provider.signer, shared.account, "POST", "/jobs", body)

    with http(shared) as client:
        answer = client.post("/jobs", content=body, headers=headers)

    assert (answer.status_code, answer.json()["code"]) == (400, "MALFORMED")


def test_stranger_reads_neither_run_nor_results(bank: Bank, start: Start) -> None:
    serving = start(bank)
    _, run = ran(bank, serving)
    stranger = serving.client(Signer.random())

    for call in (
        lambda: stranger.job(run.id),
        lambda: stranger.results(run.id),
        lambda: stranger.events(run.id),
        lambda: stranger.logs(run.id),
        lambda: stranger.stop(run.id),
    ):
        assert problem(call) is ServiceCode.RUN_UNKNOWN
    assert stranger.jobs() == []


def test_rows_in_logs_and_events_stay_with_their_owner(bank: Bank, start: Start) -> None:
    """Data in metrics, names or error texts: the requester sees numbers and codes only."""
    serving = start(bank)
    _, run = ran(bank, serving)
    requester, owner = serving.requester(), serving.client(bank.owner)

    assert problem(lambda: requester.logs(run.id)) is ServiceCode.NOT_ENTITLED
    shown = str(list(requester.all_events(run.id)))
    assert "running" in shown and ROW not in shown
    assert ROW in owner.logs(run.id)
    assert ROW in str(list(owner.all_events(run.id)))
    with http(serving) as client:
        public = client.get("/metrics").text + client.get("/").text
    assert ROW not in public and bank.provider.address not in public


def test_owner_who_is_no_receiver_gets_no_results_over_http(bank: Bank, start: Start) -> None:
    """The job names who receives: the test's operation names the requester only."""
    serving = start(bank)
    _, run = ran(bank, serving)

    assert problem(lambda: serving.client(bank.owner).results(run.id)) is ServiceCode.NOT_ENTITLED


@pytest.mark.parametrize(
    "name",
    [
        "..%2f..%2fsecret.csv",
        "%2e%2e%2fstatus.json",
        "..",
        "%2fetc%2fpasswd",
        ".hidden",
        "weights.npz%00",
        "x" * 300,
    ],
)
def test_path_traversal_in_result_names(ended: tuple[Serving, JobRun], name: str) -> None:
    serving, run = ended
    path = f"/jobs/{run.id}/results/{name}"
    headers = sign_request(serving.bank.provider.signer, serving.account, "GET", path)

    with http(serving) as client:
        answer = client.get(path, headers=headers)

    # 401: the path that was sent is not the one that arrived; then nobody has signed it.
    assert answer.status_code in (401, 404)
    assert b"SECRET" not in answer.content


@pytest.mark.parametrize("part", ["..%2f..", "0" * 31 + "g", "%00" * 10, "a" * 5000])
def test_path_traversal_in_run_and_asset(ended: tuple[Serving, JobRun], part: str) -> None:
    serving, run = ended
    for path in (f"/jobs/{part}/logs", f"/jobs/{run.id}/events?asset={part}&since=0"):
        headers = sign_request(serving.bank.owner.signer, serving.account, "GET", path)
        with http(serving) as client:
            answer = client.get(path, headers=headers)
        assert answer.status_code in (400, 401, 404)


def test_links_that_an_operation_left_among_results(bank: Bank, start: Start) -> None:
    serving = start(bank)
    (bank.folder / "secret.csv").write_text("SECRET")
    _, run = ran(bank, serving, "hostile")
    client = serving.requester()

    assert (bank.run_folder(run.id) / "results" / "rows.csv").is_symlink()
    assert [file.name for file in client.results(run.id)] == ["weights.npz"]
    [file] = client.results(run.id)
    for name in ("rows.csv", "linked.csv"):
        planted = file.model_copy(update={"name": name})
        with pytest.raises(ServiceError) as caught:
            client.download(run.id, planted, bank.folder / "stolen")
        assert caught.value.service_code is ServiceCode.RESULT_UNKNOWN
        assert not (bank.folder / "stolen").exists()


def test_slow_clients_do_not_hold_up_others(bank: Bank, start: Start) -> None:
    """Silent connections, half handshakes and dripped requests cost no thread."""
    serving = start(bank, limits={"each": 200})
    host, port = serving.url.removeprefix("https://").split(":")
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    held: list[socket.socket] = []
    try:
        for number in range(60):
            raw = socket.create_connection((host, int(port)), timeout=10)
            held.append(raw)
            if number % 2:
                wrapped = trust.wrap_socket(raw, server_hostname=host)
                wrapped.sendall(b"POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n{")
                held[-1] = wrapped

        assert serving.requester().jobs() == []
    finally:
        for one in held:
            one.close()


def test_one_address_holds_so_many_connections(bank: Bank, start: Start) -> None:
    serving = start(bank, limits={"each": 3})
    host, port = serving.url.removeprefix("https://").split(":")
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    held = []
    try:
        for _ in range(3):
            raw = socket.create_connection((host, int(port)), timeout=10)
            held.append(trust.wrap_socket(raw, server_hostname=host))
        with pytest.raises(ServiceUnreachableError):
            serving.client(Signer.random(), timeout=5).card()
        held.pop().close()
        deadline = threading.Event()
        for _ in range(50):
            try:
                serving.client(Signer.random(), timeout=5).card()
                break
            except ServiceUnreachableError:
                deadline.wait(0.1)
        else:
            pytest.fail("the place was not given back")
    finally:
        for one in held:
            one.close()


def test_silent_connection_is_closed(bank: Bank, start: Start) -> None:
    serving = start(bank, limits={"silence": 0.5})
    host, port = serving.url.removeprefix("https://").split(":")
    trust = ssl.create_default_context(cafile=str(serving.certificate))

    with (
        socket.create_connection((host, int(port)), timeout=20) as raw,
        trust.wrap_socket(raw, server_hostname=host) as silent,
    ):
        assert ended_by_peer(silent)


def ended_by_peer(connection: ssl.SSLSocket) -> bool:
    try:
        return connection.recv(1) == b""
    except (ConnectionError, ssl.SSLError):
        return True


def test_server_without_the_trusted_certificate(shared: Serving, tmp_path: Path) -> None:
    signer = Signer.random()

    with pytest.raises(ServiceUnreachableError):
        AssetServiceClient(shared.url, signer).card()
    with pytest.raises(ServiceUnreachableError):
        AssetServiceClient(shared.url.replace("https", "http"), signer).card()
    (tmp_path / "none.pem").write_text("no certificate")
    with pytest.raises(BadInputError):
        AssetServiceClient(shared.url, signer, certificates=tmp_path / "none.pem")


def test_calls_beyond_the_rate(shared: Serving) -> None:
    """One account that floods is slowed down; others are not."""
    flooder = shared.client(Signer.random())
    codes: list[str] = []
    while "TOO_MANY" not in codes and len(codes) < 60:
        with pytest.raises((ServiceError, Refused)) as caught:
            flooder.start(fresh(), fresh())
        codes.append(caught.value.code)

    assert codes[-1] == "TOO_MANY"
    assert set(codes[:-1]) == {"JOB_UNKNOWN"}
    assert shared.client(Signer.random()).jobs() == []


def test_card_for_people_and_programs(shared: Serving) -> None:
    """Acceptance: 84, 85."""
    with http(shared) as client:
        page = client.get("/", headers={"accept": "text/html"})
        health = client.get("/healthz").json()
        described = client.get("/openapi.json").json()
    card = shared.requester().card()

    assert "<private>" not in page.text and "&lt;private&gt;" in page.text
    assert "<b>a test program</b>" not in page.text
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert (card.domain, card.service) == ("private", shared.account)
    assert [asset.dt for asset in card.assets] == [shared.bank.data]
    assert health["status"] == "ok"
    assert {"/authorizations", "/jobs", "/jobs/{run}/results/{name}"} <= set(described["paths"])


def test_service_key_that_the_owner_has_not_delegated(shared: Serving) -> None:
    """A service is what the owners' delegations say, not what its card says."""
    bank = shared.bank
    network = bank.owner.site.network
    owners = {bank.data: bank.owner.address}
    other = {bank.data: Signer.random().address}

    client = shared.requester()
    assert [a.dt for a in client.verified_card(network, owners).assets] == [bank.data]
    assert client.verified_card(network, {}).assets == []
    with pytest.raises(BadInputError):
        client.verified_card(network, other)


def test_metrics_count_calls_and_states(shared: Serving) -> None:
    with http(shared) as client:
        text = client.get("/metrics").text

    assert "datatoken_assets_runs_finished" in text
    assert 'datatoken_assets_calls_total{endpoint="' in text
