"""Runs over real HTTP and TLS: verified first, watched, found again, ended."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.service.assets.models import RunState
from datatoken.service.problems import ServiceCode, ServiceError
from tests.support.asset_service import Bank, Serving
from tests.support.chain import fresh, wait_until

Start = Callable[..., Serving]
SECP256K1_N = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def refused(call: Callable[[], object]) -> Reason:
    with pytest.raises(Refused) as caught:
        call()
    assert caught.value.message and caught.value.hint
    return caught.value.reason


def problem(call: Callable[[], object]) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        call()
    return caught.value.service_code


def living(serving: Serving, run: str) -> bool:
    """Tell whether the party lives; one that nobody has waited for does not."""
    pid = next((serving.bank.state / "runs" / run).glob("*/pid")).read_text()
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_job_from_its_request_to_its_results(bank: Bank, start: Start, tmp_path: Path) -> None:
    """Acceptance: 63, 64, 84, 87, 88."""
    serving, job = start(bank), bank.post()
    client = serving.requester()

    run = client.start(job, bank.request(job))
    serving.wait_state(run.id, RunState.RUNNING)
    again = client.start(job, run.request)
    bank.finish(run.id)
    serving.wait_state(run.id, RunState.FINISHED)

    assert again.id == run.id
    names = [event.event for event in client.all_events(run.id)]
    assert names == ["running", "finished"]
    [file] = client.results(run.id)
    got = client.download(run.id, file, tmp_path / "got" / "weights.npz")
    assert got.read_bytes() == b"weights" * 40_000
    assert [one.id for one in client.jobs()] == [run.id]


def test_no_secret_in_the_environment_of_a_party(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()

    run = serving.requester().start(job, bank.request(job, mode="quick"))
    serving.wait_state(run.id, RunState.FINISHED)

    environment = json.loads((bank.run_folder(run.id) / "environment.json").read_text())
    assert "SECRET_OF_THE_SERVICE" not in environment
    assert "hunter2" not in str(environment)


def test_without_a_grant_nothing_is_spawned(bank: Bank, start: Start) -> None:
    """Acceptance: 44, 64."""
    serving, job = start(bank), bank.post()
    request = bank.request(job)
    bank.owner.revoke(bank.data, bank.algorithm)

    assert refused(lambda: serving.requester().start(job, request)) is Reason.GRANT_REVOKED
    assert not (bank.state / "runs").exists()
    assert not (bank.folder / "parties").exists()


def test_parameters_outside_the_schema_are_refused(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    request = bank.request(job, epochs=11)

    found = refused(lambda: serving.requester().start(job, request))

    assert found is Reason.PARAMETERS_OUTSIDE_TERMS


def test_replayed_compute_request_is_refused(bank: Bank, start: Start) -> None:
    """Acceptance: 112."""
    serving, job = start(bank), bank.post()
    client = serving.requester()
    run = client.start(job, bank.request(job, mode="quick"))
    serving.wait_state(run.id, RunState.FINISHED)

    assert refused(lambda: client.start(job, run.request)) is Reason.REQUEST_REPLAYED
    serving.kill()
    serving.start()
    client = serving.requester()
    assert refused(lambda: client.start(job, run.request)) is Reason.REQUEST_REPLAYED
    assert client.job(run.id).parties[0].state is RunState.FINISHED


def test_compute_request_with_the_other_form_of_its_signature(bank: Bank, start: Start) -> None:
    """An ECDSA signature has a second valid form: other bytes, another digest, one nonce."""
    serving, job = start(bank), bank.post()
    client, store = serving.requester(), bank.provider.site.store
    run = client.start(job, bank.request(job, mode="quick"))
    serving.wait_state(run.id, RunState.FINISHED)
    signed = SignedRequest.model_validate_json(store.get(run.request))
    r, s = signed.signature[2:66], int(signed.signature[66:130], 16)
    v = {"1b": "1c", "1c": "1b"}[signed.signature[130:]]
    other = f"0x{r}{SECP256K1_N - s:064x}{v}"
    digest = store.put(canonical_bytes(signed.model_copy(update={"signature": other})))

    assert digest != run.request
    with pytest.raises((Refused, ServiceError)) as caught:
        client.start(job, digest)
    assert getattr(caught.value, "code", "") in ("REQUEST_REPLAYED", "REQUEST_SIGNATURE")


def test_request_of_somebody_else_starts_nothing(bank: Bank, start: Start) -> None:
    """Only the algorithm's owner starts its job, whoever else knows the request."""
    serving, job = start(bank), bank.post()
    request = bank.request(job)

    for stranger in (Signer.random(), bank.owner.signer):
        client = serving.client(stranger)
        assert problem(lambda c=client: c.start(job, request)) is ServiceCode.NOT_ENTITLED  # type: ignore[misc]


def test_request_that_is_signed_by_another_account(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    store = bank.provider.site.store
    signed = SignedRequest.model_validate_json(store.get(bank.request(job)))
    forged = Signer.random().sign_full(signed.request.typed_data())
    digest = store.put(canonical_bytes(signed.model_copy(update={"signature": forged})))

    assert refused(lambda: serving.requester().start(job, digest)) is Reason.REQUEST_SIGNATURE


def test_unknown_job_and_unknown_request(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    client = serving.requester()

    assert refused(lambda: client.start(fresh(), fresh())) is Reason.JOB_UNKNOWN
    assert refused(lambda: client.start(job, fresh())) is Reason.STORE_UNREACHABLE


def test_one_run_at_a_time_for_each_asset(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    client = serving.requester()
    run = client.start(job, bank.request(job))

    assert problem(lambda: client.start(job, bank.request(job))) is ServiceCode.ASSET_BUSY
    bank.finish(run.id)
    serving.wait_state(run.id, RunState.FINISHED)
    wait_until(lambda: not living(serving, run.id))
    second = client.start(job, bank.request(job, mode="quick"))
    assert second.id != run.id


def test_service_killed_in_mid_job_finds_its_party_again(bank: Bank, start: Start) -> None:
    """Acceptance: 84."""
    serving, job = start(bank), bank.post()
    run = serving.requester().start(job, bank.request(job))
    serving.wait_state(run.id, RunState.RUNNING)

    serving.kill()
    assert living(serving, run.id)
    serving.start()

    assert serving.state(run.id) is RunState.RUNNING
    second = bank.request(job)
    busy = problem(lambda: serving.requester().start(job, second))
    assert busy is ServiceCode.ASSET_BUSY
    bank.finish(run.id)
    serving.wait_state(run.id, RunState.FINISHED)


def test_party_that_ends_while_the_service_is_down(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    run = serving.requester().start(job, bank.request(job))
    serving.wait_state(run.id, RunState.RUNNING)

    serving.kill()
    bank.finish(run.id)
    wait_until(lambda: not living(serving, run.id))
    serving.start()

    serving.wait_state(run.id, RunState.FINISHED)


def test_party_that_dies_is_reported_as_failed(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    client = serving.requester()

    run = client.start(job, bank.request(job, mode="dies"))
    serving.wait_state(run.id, RunState.FAILED)

    [party] = client.job(run.id).parties
    assert (party.reason, party.sentence != "") == ("PARTY_STOPPED", True)
    assert problem(lambda: client.results(run.id)) is ServiceCode.RUN_NOT_FINISHED
    assert client.start(job, bank.request(job, mode="quick")).id != run.id


def test_stop_reaches_a_party_of_an_earlier_life(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    run = serving.requester().start(job, bank.request(job))
    serving.wait_state(run.id, RunState.RUNNING)
    serving.kill()
    serving.start()
    client = serving.requester()

    client.stop(run.id)
    serving.wait_state(run.id, RunState.STOPPED)
    client.stop(run.id)

    wait_until(lambda: not living(serving, run.id))


def test_operation_that_outlives_the_order_to_stop_is_killed(bank: Bank, start: Start) -> None:
    serving, job = start(bank), bank.post()
    client = serving.requester()
    run = client.start(job, bank.request(job, mode="deaf"))
    serving.wait_state(run.id, RunState.RUNNING)

    client.stop(run.id)

    wait_until(lambda: not living(serving, run.id), 60)
    serving.wait_state(run.id, RunState.STOPPED)
