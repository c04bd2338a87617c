"""An asset service that is put back from a backup, and one with a new certificate."""

import ssl
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from datatoken import backup
from datatoken.authorization.reasons import Reason, Refused
from datatoken.service.assets.models import RunState
from datatoken.service.problems import ServiceUnreachableError
from datatoken.service.signing import sign_request
from tests.support.asset_service import Bank, Serving

Start = Callable[..., Serving]


def get(serving: Serving, headers: dict[str, str]) -> httpx.Response:
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    with httpx.Client(base_url=serving.url, verify=trust, timeout=20) as client:
        return client.get("/jobs", headers=headers)


def test_what_was_used_before_the_backup_stays_used(
    bank: Bank, start: Start, tmp_path: Path
) -> None:
    """A replayed call and a replayed compute request are refused. Acceptance: 112."""
    serving, job = start(bank), bank.post()
    run = serving.requester().start(job, bank.request(job, mode="quick"))
    serving.wait_state(run.id, RunState.FINISHED)
    headers = sign_request(bank.provider.signer, serving.account, "GET", "/jobs")
    assert get(serving, headers).status_code == 200

    backup.create(bank.state, tmp_path / "service.backup")
    serving.kill()
    bank.state.rename(tmp_path / "lost")
    backup.restore(tmp_path / "service.backup", bank.state)
    serving.start()

    again = get(serving, headers)
    assert (again.status_code, again.json()["code"]) == (401, "REQUEST_REPLAYED")
    client = serving.requester()
    assert client.job(run.id).parties[0].state is RunState.FINISHED
    with pytest.raises(Refused) as caught:
        client.start(job, run.request)
    assert caught.value.reason is Reason.REQUEST_REPLAYED


def test_new_certificate_is_trusted_by_those_who_were_given_it(
    bank: Bank, start: Start, tmp_path: Path
) -> None:
    """A client that knows the old one refuses, and says why; nothing is sent to a stranger."""
    serving = start(bank)
    assert serving.certificate is not None
    old = tmp_path / "old.pem"
    old.write_bytes(serving.certificate.read_bytes())
    assert serving.requester().jobs() == []
    serving.stop()
    for name in ("tls.pem", "tls.key"):
        (bank.state / name).unlink()

    serving.start()

    assert serving.requester().jobs() == []
    pinned = serving.certificate
    serving.certificate = old
    with pytest.raises(ServiceUnreachableError) as caught:
        serving.requester().jobs()
    serving.certificate = pinned
    assert "certificate is none that is trusted" in caught.value.message
    assert "certificate" in (caught.value.hint or "")
