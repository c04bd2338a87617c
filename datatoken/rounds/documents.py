"""Round documents: what a recorder serves for each round, and how it is bound to the chain.

A document is a header and its receipts. The header names the Merkle root of the receipts;
its digest is what `RoundLog.append` takes. So an inclusion proof needs the header only, and
the head on the chain fixes every document before it.
"""

from enum import StrEnum
from typing import Annotated, Literal, Self

from eth_abi.abi import encode
from eth_utils.crypto import keccak
from pydantic import Field, StringConstraints, model_validator

from datatoken.ddo.canonical import canonical_bytes
from datatoken.rounds import merkle
from datatoken.rounds.receipts import Head, Receipt, SignedReceipt
from datatoken.types import Address, Hex32, MessageKind, Model, sha256_hex

DOCUMENT_DOMAIN = b"datatoken/round/1\n"
MAX_RECEIPTS = 4096
MAX_DOCUMENT_BYTES = 8 * 1024 * 1024
_HEAD_TYPES = ("uint256", "address", "bytes32", "bytes28", "bytes32")

AnnotationName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][\w.\-]{0,63}$")]
AnnotationText = Annotated[str, StringConstraints(max_length=1024)]


class Closing(StrEnum):
    """Why a recorder wrote a document."""

    COMPLETE = "complete"
    """All members that were named have reported."""
    NEXT = "next"
    """A receipt of the run's next round arrived."""
    TIMEOUT = "timeout"
    """The terms' time-out passed."""
    LATE = "late"
    """No round: only what came after its round's document, and had waited long enough."""


class RoundKey(Model):
    """What receipts of one round agree in (within a job)."""

    request: Hex32
    run: str = Field(max_length=64)
    kind: MessageKind
    input: Hex32

    @classmethod
    def of(cls, receipt: Receipt) -> Self:
        """Return the key of a receipt."""
        return cls(request=receipt.request, run=receipt.run, kind=receipt.kind, input=receipt.input)


class NamedRound(Model):
    """What a server says of a round. An annotation: it admits and removes no receipt.

    Attributes
    ----------
    expected : int, optional
        How many receipts the server expects; `members` from whom, where it knows the DTs.
    annotations : dict of str to str
        For example the digest of the aggregate. Claims, never evaluated.
    by : Address
        The account that signed.
    """

    run: str = Field(max_length=64)
    kind: MessageKind
    input: Hex32
    expected: int | None = Field(default=None, ge=1, le=1_000_000)
    members: list[Hex32] = Field(default=[], max_length=MAX_RECEIPTS)
    annotations: dict[AnnotationName, AnnotationText] = Field(default={}, max_length=16)
    by: Address


class RoundHeader(Model):
    """A round document without its receipts: what its digest covers.

    Attributes
    ----------
    number : int
        The log's own number, from 1: the round number on the chain.
    previous : Head
        The head that it builds on; 28 zero bytes for the first.
    salt : Hex32
        Random, so that a digest on the chain tells nothing.
    closes : RoundKey, optional
        The round that it closes; receipts under other keys came late. None: all came late.
    named : list of NamedRound
        What servers said of rounds since the last document.
    size, root : int, Hex32
        Number of receipts and their Merkle root (`datatoken.rounds.merkle`).
    """

    version: Literal[1] = 1
    chain_id: int = Field(ge=1, lt=2**53)
    log: Address
    job: Hex32
    recorder: Address
    number: int = Field(ge=1, lt=2**32)
    previous: Head
    salt: Hex32
    closing: Closing
    closes: RoundKey | None = None
    named: list[NamedRound] = Field(default=[], max_length=64)
    size: int = Field(ge=0, le=MAX_RECEIPTS)
    root: Hex32

    def digest(self) -> Hex32:
        """Return sha256(domain ‖ JCS(header)): the document digest on the chain."""
        plain = {name: getattr(self, name) for name in RoundHeader.model_fields}
        header = self if type(self) is RoundHeader else RoundHeader(**plain)
        return sha256_hex(DOCUMENT_DOMAIN + canonical_bytes(header))

    def head(self) -> Head:
        """Return the head that the chain has after this document."""
        return next_head(self.chain_id, self.log, self.job, self.previous, self.digest())

    @property
    def members(self) -> list[Hex32]:
        """Return the members that servers named for the round that this document closes."""
        return list(dict.fromkeys(dt for named in self._own() for dt in named.members))

    @property
    def annotations(self) -> dict[str, str]:
        """Return the annotations of the round that this document closes; later ones win."""
        return {name: text for named in self._own() for name, text in named.annotations.items()}

    def _own(self) -> list[NamedRound]:
        return [named for named in self.named if self.closes and is_about(named, self.closes)]


class RoundDocument(RoundHeader):
    """A round document: the header and its receipts, in the order of the Merkle tree."""

    receipts: list[SignedReceipt] = Field(max_length=MAX_RECEIPTS)

    @model_validator(mode="after")
    def _root_is_of_the_receipts(self) -> Self:
        leaves = self.leaves()
        if len(leaves) != self.size or merkle.root(leaves) != self.root:
            raise ValueError("the receipts do not hash to the root")
        return self

    def leaves(self) -> list[Hex32]:
        """Return the receipt digests: the leaves of the tree."""
        return [signed.receipt.digest() for signed in self.receipts]

    def header(self) -> RoundHeader:
        """Return the document without its receipts."""
        return RoundHeader(**{name: getattr(self, name) for name in RoundHeader.model_fields})

    def proof(self, receipt: Hex32) -> "InclusionProof":
        """Return the inclusion proof of a receipt; raise `ValueError` when it is not in."""
        leaves = self.leaves()
        index = leaves.index(receipt)
        path = list(merkle.inclusion_proof(leaves, index))
        return InclusionProof(receipt=receipt, index=index, path=path, header=self.header())


class InclusionProof(Model):
    """Proof that a receipt is in a logged round. `header.head()` is the head to look for."""

    receipt: Hex32
    index: int = Field(ge=0)
    path: list[Hex32] = Field(max_length=64)
    header: RoundHeader

    def holds(self) -> bool:
        """Tell whether the path leads from the receipt to the header's root."""
        header = self.header
        return merkle.verify_inclusion(
            self.receipt, self.index, header.size, self.path, header.root
        )


def is_about(named: NamedRound, key: RoundKey) -> bool:
    """Tell whether a server's words are about the round with this key."""
    return (named.run, named.kind, named.input) == (key.run, key.kind, key.input)


def next_head(chain_id: int, log: Address, job: Hex32, previous: Head, document: Hex32) -> Head:
    """Return the head after `RoundLog.append(job, previous, document)`.

    The left-most 28 bytes of keccak256(abi.encode(chain id, contract, job, previous,
    document)), as in contracts/src/RoundLog.sol.
    """
    job_, previous_, document_ = (bytes.fromhex(text[2:]) for text in (job, previous, document))
    content = encode(_HEAD_TYPES, (chain_id, log, job_, previous_, document_))
    return "0x" + keccak(content)[:28].hex()
