"""What a node means when it refuses a transaction, and what several refusals prove together."""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum

from datatoken.chain.rpc import RpcError

_KNOWN = ("already known", "already imported", "known transaction")
_NONCE_USED = ("nonce too low", "already been used")
_REJECTED = (
    "insufficient funds",
    "gas too low",
    "gas limit",
    "underpriced",
    "less than block base fee",
    "tip above fee cap",
    "oversized",
    "invalid sender",
    "chain id",
)


class Refusal(StrEnum):
    """Why a node does not take a transaction."""

    KNOWN = "known"
    """It has it already."""
    NONCE_USED = "nonce-used"
    """A transaction of the account with this nonce is mined."""
    REJECTED = "rejected"
    """A reason of the transaction's own: funds, fees, size."""
    OTHER = "other"
    """Anything else: it may come from between us and a node that has taken it."""


class RefusedByAllError(RpcError):
    """Every endpoint rejected a transaction: none says that it may have it."""


_TEXTS: Mapping[Refusal, Sequence[str]] = {
    Refusal.KNOWN: _KNOWN,
    Refusal.NONCE_USED: _NONCE_USED,
    Refusal.REJECTED: _REJECTED,
}


def refusal_of(error: RpcError) -> Refusal:
    """Return which kind of refusal an endpoint's error is."""
    text = error.text.lower()
    for kind, parts in _TEXTS.items():
        if any(part in text for part in parts):
            return kind
    return Refusal.OTHER


def refused_together(errors: Collection[Exception], endpoints: int, quorum: int) -> RpcError | None:
    """Return the refusal that `quorum` of `endpoints` give, each kind counted by itself.

    One that has the transaction already is enough. Where two kinds have enough voices,
    neither is believed.
    """
    refusals = [error for error in errors if isinstance(error, RpcError)]
    kinds: dict[Refusal, list[RpcError]] = {}
    for error in refusals:
        kinds.setdefault(refusal_of(error), []).append(error)
    if Refusal.KNOWN in kinds:
        return kinds[Refusal.KNOWN][0]
    found = [kind for kind, voices in kinds.items() if len(voices) >= quorum]
    if len(found) != 1:
        return None
    first = kinds[found[0]][0]
    if found[0] is Refusal.REJECTED and len(kinds[found[0]]) == endpoints:
        return RefusedByAllError("eth_sendRawTransaction", first.number, first.text, first.data)
    return first
