"""Signed requests: every part is bound, each is good once."""

import pytest

from datatoken.chain.signer import Signer
from datatoken.service import signing
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.signing import MAX_SKEW, sign_request, verify_request

SERVICE = "0x" + "5e" * 20
NOW = 1_800_000_000
SIGNER = Signer.random()


class Nonces:
    """Spent nonces in memory."""

    def __init__(self) -> None:
        self.spent: set[tuple[str, str]] = set()

    def __call__(self, account: str, nonce: str, until: int) -> bool:
        new = (account, nonce) not in self.spent
        self.spent.add((account, nonce))
        return new


def verify(headers: dict[str, str], nonces: Nonces | None = None, **changed: object) -> str:
    asked = {"audience": SERVICE, "method": "POST", "path": "/a?b=1", "body": b"{}", "now": NOW}
    return verify_request(headers, spend=nonces or Nonces(), **(asked | changed))  # type: ignore[arg-type]


def refusal(
    headers: dict[str, str], nonces: Nonces | None = None, **changed: object
) -> ServiceCode:
    with pytest.raises(ServiceError) as caught:
        verify(headers, nonces, **changed)
    return caught.value.service_code


@pytest.fixture
def headers() -> dict[str, str]:
    return sign_request(SIGNER, SERVICE, "POST", "/a?b=1", b"{}", clock=lambda: NOW)


def test_signed_request_names_its_signer(headers: dict[str, str]) -> None:
    assert verify(headers) == SIGNER.address


def test_replayed_request_is_refused(headers: dict[str, str]) -> None:
    """Acceptance: 112."""
    nonces = Nonces()
    verify(headers, nonces)

    assert refusal(headers, nonces) is ServiceCode.REQUEST_REPLAYED


@pytest.mark.parametrize(
    "changed",
    [
        {"audience": "0x" + "5f" * 20},
        {"method": "GET"},
        {"path": "/a?b=2"},
        {"body": b"{ }"},
    ],
    ids=lambda changed: next(iter(changed)),
)
def test_signature_covers_every_part(headers: dict[str, str], changed: dict[str, object]) -> None:
    """A request can't be passed on to another service, address, or with another body."""
    assert refusal(headers, **changed) is ServiceCode.REQUEST_SIGNATURE


@pytest.mark.parametrize("off", [MAX_SKEW + 1, -MAX_SKEW - 1])
def test_old_or_future_request_is_refused(headers: dict[str, str], off: int) -> None:
    assert refusal(headers, now=NOW + off) is ServiceCode.REQUEST_STALE


def test_time_of_a_request_is_signed(headers: dict[str, str]) -> None:
    later = headers | {signing.TIMESTAMP: str(NOW + 1000)}

    assert refusal(later, now=NOW + 1000) is ServiceCode.REQUEST_SIGNATURE


def test_unauthenticated_service_call_is_refused(headers: dict[str, str]) -> None:
    for name in signing.SIGNED_HEADERS:
        assert refusal(headers | {name: ""}) is ServiceCode.REQUEST_UNSIGNED


def test_request_in_another_account_s_name_is_refused(headers: dict[str, str]) -> None:
    other = headers | {signing.ACCOUNT: Signer.random().address}

    assert refusal(other) is ServiceCode.REQUEST_SIGNATURE


@pytest.mark.parametrize(
    "changed",
    [
        {signing.ACCOUNT: SIGNER.address.upper()},
        {signing.TIMESTAMP: "²"},
        {signing.TIMESTAMP: "9" * 40},
        {signing.TIMESTAMP: "-1"},
        {signing.NONCE: "AB" * 16},
        {signing.NONCE: "a"},
        {signing.SIGNATURE: "0x00"},
        {signing.SIGNATURE: "0x" + "ff" * 65},
    ],
)
def test_malformed_headers_are_refused(headers: dict[str, str], changed: dict[str, str]) -> None:
    assert refusal(headers | changed) is ServiceCode.REQUEST_SIGNATURE


def test_wrong_signature_spends_no_nonce(headers: dict[str, str]) -> None:
    nonces = Nonces()
    refusal(headers, nonces, body=b"other")

    assert verify(headers, nonces) == SIGNER.address
