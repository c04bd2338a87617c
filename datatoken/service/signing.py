"""Signed HTTP requests: who asks, for exactly this, now, once.

The account signs (EIP-191) the sha256 of these lines, joined by newlines:

    datatoken/http/1
    the service's account (nobody can pass the request on to another service)
    METHOD
    path, with its query as it is sent
    sha256 of the body, hex with 0x
    timestamp, Unix seconds
    nonce, 32 hex digits

A service accepts a timestamp within `MAX_SKEW` of its own clock, and a nonce once.
"""

import secrets
import time
from collections.abc import Callable, Mapping
from typing import Protocol

from pydantic import TypeAdapter, ValidationError

from datatoken.authorization.request import Signature
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.signatures import recover_digest
from datatoken.types import Address, Hex32, sha256_hex

DOMAIN = "datatoken/http/1"
MAX_SKEW = 60
ACCOUNT, TIMESTAMP, NONCE, SIGNATURE = (
    "DataToken-Account",
    "DataToken-Timestamp",
    "DataToken-Nonce",
    "DataToken-Signature",
)
SIGNED_HEADERS = (ACCOUNT, TIMESTAMP, NONCE, SIGNATURE)
_ADDRESS: TypeAdapter[str] = TypeAdapter(Address)
_SIGNATURE: TypeAdapter[str] = TypeAdapter(Signature)
_NONCE_DIGITS = 32


class MessageSigner(Protocol):
    """What can sign (`datatoken.chain.signer.Signer`, or a node's key)."""

    @property
    def address(self) -> Address:
        """The account."""
        ...

    def sign_message(self, content: bytes) -> str:
        """Return the EIP-191 signature of `content`, hex with 0x."""
        ...


def request_digest(
    audience: Address, method: str, path: str, body: bytes, timestamp: int, nonce: str
) -> Hex32:
    """Return what is signed; see the module's text."""
    lines = (DOMAIN, audience, method.upper(), path, sha256_hex(body), str(timestamp), nonce)
    return sha256_hex("\n".join(lines).encode())


def sign_request(
    signer: MessageSigner,
    audience: Address,
    method: str,
    path: str,
    body: bytes = b"",
    *,
    clock: Callable[[], float] = time.time,
) -> dict[str, str]:
    """Return the headers that make a request a signed one.

    Parameters
    ----------
    signer : MessageSigner
    audience : Address
        The service's account.
    path : str
        Path and query, exactly as they are sent.
    """
    timestamp, nonce = int(clock()), secrets.token_hex(_NONCE_DIGITS // 2)
    digest = request_digest(audience, method, path, body, timestamp, nonce)
    return {
        ACCOUNT: signer.address,
        TIMESTAMP: str(timestamp),
        NONCE: nonce,
        SIGNATURE: signer.sign_message(bytes.fromhex(digest[2:])),
    }


def verify_request(
    headers: Mapping[str, str],
    audience: Address,
    method: str,
    path: str,
    body: bytes,
    *,
    now: int,
    spend: Callable[[Address, str, int], bool],
) -> Address:
    """Return the account that signed a request.

    Parameters
    ----------
    headers : mapping of str to str
        Looked up by the names above.
    spend : callable
        Called with (account, nonce, time from which it may be forgotten) once the signature
        is right; returns whether the nonce is new, and keeps it on disk.

    Raises
    ------
    ServiceError
        REQUEST_UNSIGNED, REQUEST_STALE, REQUEST_SIGNATURE or REQUEST_REPLAYED.
    """
    given = [headers.get(name, "") for name in (ACCOUNT, TIMESTAMP, NONCE, SIGNATURE)]
    if not all(given):
        raise ServiceError(ServiceCode.REQUEST_UNSIGNED, "The request is not signed.")
    account, timestamp, nonce, signature = given
    if not _well_formed(account, timestamp, nonce, signature):
        raise ServiceError(ServiceCode.REQUEST_SIGNATURE, "The signature's headers are malformed.")
    if abs(now - int(timestamp)) > MAX_SKEW:
        raise ServiceError(
            ServiceCode.REQUEST_STALE,
            f"The request was signed more than {MAX_SKEW} s away from this service's clock.",
        )
    digest = request_digest(audience, method, path, body, int(timestamp), nonce)
    if recover_digest(digest, signature) != account:
        raise ServiceError(
            ServiceCode.REQUEST_SIGNATURE, "The request is not signed by the account it names."
        )
    if not spend(account, nonce, int(timestamp) + MAX_SKEW + 1):
        raise ServiceError(ServiceCode.REQUEST_REPLAYED, "The request was made before.")
    return account


def _well_formed(account: str, timestamp: str, nonce: str, signature: str) -> bool:
    try:
        _ADDRESS.validate_python(account)
        _SIGNATURE.validate_python(signature)
    except ValidationError:
        return False
    digits = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= 12
    # Upper case would be a second spelling of the same nonce.
    return digits and len(nonce) == _NONCE_DIGITS and set(nonce) <= set("0123456789abcdef")
