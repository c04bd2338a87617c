"""Receipts: what a node signs for every message that ran code.

A receipt is on disk before the last byte of a reply leaves, and goes to the recorder beside
the engine's own traffic. The node key is delegated by the DT's owner (EIP-712).
"""

from typing import Annotated, Any

from eth_account import Account
from eth_account.messages import encode_defunct
from pydantic import Field, StringConstraints

from datatoken.authorization.request import Signature
from datatoken.ddo.canonical import canonical_bytes
from datatoken.signatures import DOMAIN_FIELDS, recover_digest, recover_typed
from datatoken.types import Address, Hex32, MessageKind, Model, Seconds, sha256_hex

Head = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{56}$")]
"""A log head: 28 bytes, as `RoundLog.head` keeps it."""

ZERO_HEAD = "0x" + "0" * 56
DOMAIN = b"datatoken/receipt/1\n"
ACK_DOMAIN = b"datatoken/acknowledgement/1\n"


class Receipt(Model):
    """One message answered by one DT.

    Attributes
    ----------
    run : str
        The engine's run id, as text.
    sequence : int
        This node's own number for the grant, from 1, over all jobs and runs.
    head : Head
        The log head that the node saw when it was authorised.
    input : Hex32
        Canonical digest of the message's tensors and records: equal for a round's members.
    output : Hex32
        sha256(salt ‖ canonical digest of the reply); the salt stays with the owner.
    """

    job: Hex32
    request: Hex32
    run: str = Field(max_length=64)
    dt: Hex32
    kind: MessageKind
    sequence: int = Field(ge=1, lt=2**53)
    head: Head
    input: Hex32
    output: Hex32

    def digest(self) -> Hex32:
        """Return sha256(domain ‖ JCS): what is signed, and the leaf of the Merkle tree."""
        return sha256_hex(DOMAIN + canonical_bytes(self))


class Delegation(Model):
    """The DT owner's word that a node key may sign receipts for it (EIP-712)."""

    chain_id: int
    registry: Address
    dt: Hex32
    node: Address
    expiry: Seconds
    signature: Signature

    @staticmethod
    def typed_data(
        chain_id: int, registry: Address, dt: Hex32, node: Address, expiry: int
    ) -> dict[str, Any]:
        """Return the EIP-712 message that the owner signs."""
        return {
            "types": {
                "EIP712Domain": DOMAIN_FIELDS,
                "Delegation": [
                    {"name": "dt", "type": "bytes32"},
                    {"name": "node", "type": "address"},
                    {"name": "expiry", "type": "uint64"},
                ],
            },
            "primaryType": "Delegation",
            "domain": {
                "name": "DataToken",
                "version": "1",
                "chainId": chain_id,
                "verifyingContract": registry,
            },
            "message": {"dt": dt, "node": node, "expiry": expiry},
        }

    def owner(self) -> Address | None:
        """Return the account that signed, or None."""
        data = self.typed_data(self.chain_id, self.registry, self.dt, self.node, self.expiry)
        return recover_typed(data, self.signature)


class SignedReceipt(Model):
    """A receipt, the node key's signature over its digest, and the delegation of that key."""

    receipt: Receipt
    signature: Signature
    delegation: Delegation

    def is_signed(self) -> bool:
        """Tell whether the delegated node signed (not whether the delegation is the owner's)."""
        signer = recover_digest(self.receipt.digest(), self.signature)
        return signer == self.delegation.node and self.receipt.dt == self.delegation.dt


class Acknowledgement(Model):
    """The recorder's signed word that it holds a receipt and will log it."""

    receipt: Hex32
    job: Hex32
    recorder: Address
    time: Seconds
    signature: Signature

    @staticmethod
    def digest(receipt: Hex32, job: Hex32, recorder: Address, time: int) -> Hex32:
        """Return the digest that the recorder signs."""
        body = {"receipt": receipt, "job": job, "recorder": recorder, "time": time}
        return sha256_hex(ACK_DOMAIN + canonical_bytes(body))

    def is_signed(self) -> bool:
        """Tell whether the named recorder signed."""
        digest = self.digest(self.receipt, self.job, self.recorder, self.time)
        return recover_digest(digest, self.signature) == self.recorder


def sign_digest(key: bytes, digest: Hex32) -> str:
    """Sign a 32-byte digest with a private key (EIP-191 personal message)."""
    signed = Account.sign_message(encode_defunct(bytes.fromhex(digest[2:])), key)
    return "0x" + bytes(signed.signature).hex()
