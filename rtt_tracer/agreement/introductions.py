"""Introductions: each party's signed word on where it is reached in one run.

Endpoints and certificates are new for every run, so no document names them. A party signs
them with the node key that its DT's owner has delegated; the job's recorder hands them on.
It need not be believed: it can only withhold one, and then the run does not start.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Iterable
from typing import Annotated, Literal, Protocol

from pydantic import AfterValidator, Field, StringConstraints

from datatoken.authorization.request import Signature
from datatoken.authorization.view import Network
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.rounds.receipts import Delegation
from datatoken.signatures import recover_digest
from datatoken.types import Address, Hex32, Model, sha256_hex

DOMAIN = b"datatoken/introduction/1\n"
MAX_INTRODUCTION_BYTES = 16 * 1024
_PEM = re.compile(
    r"-----BEGIN CERTIFICATE-----\n([A-Za-z0-9+/=\n]{1,4000})\n-----END CERTIFICATE-----\n?"
)

RunId = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]


def certificate_digest(pem: str) -> Hex32:
    """Return the sha256 of a certificate's DER bytes; raise `ValueError` unless it is just one.

    A text with a second certificate would let whoever sent it in under a name of its own.
    """
    found = _PEM.fullmatch(pem)
    if found is None:
        raise ValueError("it is not one certificate in PEM")
    try:
        return sha256_hex(base64.b64decode(found[1].replace("\n", ""), validate=True))
    except binascii.Error:
        raise ValueError("it is not one certificate in PEM") from None


def _one_certificate(pem: str) -> str:
    certificate_digest(pem)
    return pem


def _host(text: str) -> str:
    if ":" in text:  # no scheme that gRPC would know, and no port
        ipaddress.IPv6Address(text)
    return text


Host = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9:][A-Za-z0-9.:\-]{0,252}$"),
    AfterValidator(_host),
]
"""A name or an IP literal."""

Certificate = Annotated[str, AfterValidator(_one_certificate)]
"""One self-signed X.509 certificate in PEM: the only one that its peers take for this party."""


class Contact(Model):
    """Where a party listens, and the certificate that it shows there."""

    host: Host
    port: int = Field(ge=1, le=65535)
    certificate: Certificate


class Introduction(Model):
    """What one party tells the others before a run.

    Attributes
    ----------
    run : str
        `datatoken.authorization.request.run_id` of the request.
    control : Contact
        The control channel; `link` the engine's, of linked roles only.
    rows : int, optional
        Rows of the party's table, of roles that read one.
    columns : list of int
        Columns that the party gives after encoding, one number for each array.
    alignment : Hex32, optional
        `sha256` of the request's digest and of the rows' ids in order: equal at all input
        parties, and nobody who does not hold all ids learns one from it.
    engine : str
        The engine's version, such as ``spu 0.9.5``.
    """

    version: Literal[1] = 1
    job: Hex32
    request: Hex32
    run: RunId
    dt: Hex32
    control: Contact
    link: Contact | None = None
    rows: Annotated[int, Field(ge=0, lt=2**40)] | None = None
    columns: list[Annotated[int, Field(ge=0, lt=2**24)]] = Field(default=[], max_length=64)
    alignment: Hex32 | None = None
    engine: Annotated[str, StringConstraints(min_length=1, max_length=200)]

    def digest(self) -> Hex32:
        """Return sha256(domain ‖ JCS): what is signed, and part of what is agreed."""
        return sha256_hex(DOMAIN + canonical_bytes(self))


class SignedIntroduction(Model):
    """An introduction, the node key's signature over its digest, and that key's delegation."""

    introduction: Introduction
    signature: Signature
    delegation: Delegation


class MessageSigner(Protocol):
    """A node key (`datatoken.chain.signer.Signer`)."""

    @property
    def address(self) -> Address:
        """The account."""
        ...

    def sign_message(self, content: bytes) -> str:
        """Sign bytes as a personal message (EIP-191); return hex."""
        ...


def sign_introduction(
    signer: MessageSigner, delegation: Delegation, introduction: Introduction
) -> SignedIntroduction:
    """Sign an introduction with a delegated node key."""
    signature = signer.sign_message(bytes.fromhex(introduction.digest()[2:]))
    return SignedIntroduction(introduction=introduction, signature=signature, delegation=delegation)


def parse_introduction(content: bytes) -> SignedIntroduction:
    """Parse a signed introduction; raise `BadInputError`."""
    return parse_document(SignedIntroduction, content, "introduction", MAX_INTRODUCTION_BYTES)


def check_introduction(
    signed: SignedIntroduction, network: Network, owner: Address, now: int
) -> str | None:
    """Return what is wrong with an introduction, or None.

    Parameters
    ----------
    owner : Address
        The DT's owner on the chain.
    now : int
        Unix time in seconds.
    """
    delegation, introduction = signed.delegation, signed.introduction
    if (delegation.chain_id, delegation.registry) != (network.chain_id, network.tokens):
        return "its delegation is for another chain or registry"
    if delegation.dt != introduction.dt:
        return "its delegation is for another DT"
    if delegation.expiry <= now:
        return "its delegation has expired"
    if recover_digest(introduction.digest(), signed.signature) != delegation.node:
        return "the delegated node did not sign it"
    if delegation.owner() != owner:
        return "its delegation is not signed by the DT's owner"
    return None


def contacts(introductions: Iterable[SignedIntroduction]) -> list[Contact]:
    """Return all contacts that some introductions name."""
    found: list[Contact] = []
    for signed in introductions:
        one = signed.introduction
        found += [contact for contact in (one.control, one.link) if contact is not None]
    return found
