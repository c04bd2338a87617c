"""Owners, node keys and receipts, as participants make them."""

import itertools
from dataclasses import dataclass

from datatoken.authorization.view import Network
from datatoken.chain.signer import Signer
from datatoken.rounds import merkle
from datatoken.rounds.documents import Closing, RoundDocument, RoundKey
from datatoken.rounds.receipts import ZERO_HEAD, Delegation, Receipt, SignedReceipt
from datatoken.types import Hex32, MessageKind
from tests.support.chain import fresh

FAR = 2**40


@dataclass
class Node:
    """A node with a delegated key that reports for one DT."""

    dt: Hex32
    key: Signer
    delegation: Delegation

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1)

    @classmethod
    def of(cls, owner: Signer, dt: Hex32, network: Network, expiry: int = FAR) -> "Node":
        key = Signer.random()
        return cls(dt, key, delegate(owner, dt, key.address, network, expiry))

    def receipt(
        self,
        job: Hex32,
        input_digest: Hex32,
        *,
        run: str = "1",
        kind: MessageKind = MessageKind.TRAIN,
        request: Hex32 = "0x" + "11" * 32,
        head: str = ZERO_HEAD,
    ) -> SignedReceipt:
        """Sign a receipt for a message with this input."""
        receipt = Receipt(
            job=job,
            request=request,
            run=run,
            dt=self.dt,
            kind=kind,
            sequence=next(self._numbers),
            head=head,
            input=input_digest,
            output=fresh(),
        )
        return self.sign(receipt)

    def sign(self, receipt: Receipt) -> SignedReceipt:
        """Sign any receipt."""
        signature = self.key.sign_message(bytes.fromhex(receipt.digest()[2:]))
        return SignedReceipt(receipt=receipt, signature=signature, delegation=self.delegation)


def delegate(
    owner: Signer, dt: Hex32, node: str, network: Network, expiry: int = FAR
) -> Delegation:
    """Return an owner's delegation of a node key."""
    about = (network.chain_id, network.tokens, dt, node, expiry)
    signature = owner.sign_full(Delegation.typed_data(*about))
    names = ("chain_id", "registry", "dt", "node", "expiry")
    return Delegation(**dict(zip(names, about, strict=True)), signature=signature)


def document(
    network: Network,
    job: Hex32,
    recorder: str,
    receipts: list[SignedReceipt],
    after: RoundDocument | None = None,
) -> RoundDocument:
    """Return the round document that follows `after`."""
    return RoundDocument(
        chain_id=network.chain_id,
        log=network.log,
        job=job,
        recorder=recorder,
        number=after.number + 1 if after else 1,
        previous=after.head() if after else ZERO_HEAD,
        salt=fresh(),
        closing=Closing.COMPLETE,
        closes=RoundKey.of(receipts[0].receipt) if receipts else None,
        size=len(receipts),
        root=merkle.root([signed.receipt.digest() for signed in receipts]),
        receipts=receipts,
    )
