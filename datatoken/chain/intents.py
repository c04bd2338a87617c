"""What is to be sent, and what became of it: plain values with no I/O."""

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from datatoken.errors import TransactionError
from datatoken.types import Address, Hex32

if TYPE_CHECKING:
    from datatoken.chain.event_types import Event

_EventT = TypeVar("_EventT", bound="Event")


@dataclass(frozen=True, slots=True)
class Transaction:
    """A transaction that somebody may send: the contract's answer to a write method.

    Parameters
    ----------
    to : Address or None
        Contract, None to create one.
    data : bytes
        Call data, or creation code with its arguments.
    label : str
        What it does, for people: `DataTokenRegistry.grant`.
    """

    to: Address | None
    data: bytes
    label: str

    @property
    def digest(self) -> Hex32:
        """Digest of receiver and data: two equal intents have the same."""
        receiver = bytes.fromhex(self.to[2:]) if self.to else b""
        content = len(receiver).to_bytes(1, "big") + receiver + self.data
        return "0x" + hashlib.sha256(content).hexdigest()


@dataclass(frozen=True, slots=True)
class Receipt:
    """A mined transaction that succeeded.

    Parameters
    ----------
    tx_hash : Hex32
        Hash of the transaction.
    block_number : int
        Block that it is in.
    gas_used : int
        Gas that it used.
    events : tuple[Event, ...]
        Its decoded events, in order.
    contract : Address or None
        The created contract, if it created one.
    """

    tx_hash: Hex32
    block_number: int
    gas_used: int
    events: "tuple[Event, ...]" = ()
    contract: Address | None = None

    def event(self, kind: type[_EventT]) -> _EventT:
        """Return the first event of a kind.

        Raises
        ------
        TransactionError
            When there is none: the contract is not the one expected.
        """
        for event in self.events:
            if isinstance(event, kind):
                return event
        raise TransactionError(
            f"Transaction {self.tx_hash} holds no event {kind.__name__}.",
            "Does the deployment file name the right contracts?",
        )
