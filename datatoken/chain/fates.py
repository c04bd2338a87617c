"""What became of a signed transaction: mined, still possible, or proven to be too late.

Signing a transaction anew while the first one may still be mined doubles it. So "too late" needs
one node (of several: a quorum, each for itself) that says both, the account's nonce has passed
and there is no receipt, and keeps saying so while the chain grows: a node may be a block behind,
index late, or be another one behind the same address.
"""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from datatoken.chain.journal import Entry
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.quorum import QuorumRpc
from datatoken.chain.quotes import quantity
from datatoken.chain.rpc import Rpc
from datatoken.errors import NodesDisagreeError
from datatoken.types import Address

LOOKS = 6
BLOCKS = 3
"""Looks, and blocks meanwhile, at which a transaction has to be gone."""
STILL = 20
"""Block times after which a chain counts as one that makes no blocks of its own."""


class Fate(StrEnum):
    """What became of a signed transaction."""

    MINED = "mined"
    OPEN = "open"
    """Nothing is proven: it may be mined yet."""
    GONE = "gone"
    """Another transaction of the account has its nonce; it can't be mined any more."""


class Fates:
    """Finds out what became of the transactions of one account.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    address : Address
        The account.
    profile : NetworkProfile
        The chain's rules.
    """

    def __init__(self, rpc: Rpc, address: Address, profile: NetworkProfile) -> None:
        self._rpc, self._address, self._profile = rpc, address, profile

    def receipt(self, entry: Entry) -> Mapping[str, Any] | None:
        """Return the receipt of a mined transaction."""
        return _receipt(self._rpc, entry)

    def of(self, entry: Entry) -> Fate:
        """Return what became of a transaction; to prove that it is gone takes some blocks."""
        if self.receipt(entry) is not None:
            return Fate.MINED
        fate = self._look(entry)
        if fate is not Fate.GONE:
            return fate
        first, started = self._rpc.block_number(), time.monotonic()
        looks = 1
        while looks < LOOKS or not self._grown(first, started):
            time.sleep(self._profile.poll_interval)
            fate = self._look(entry)
            if fate is not Fate.GONE:
                return fate
            looks += 1
        return Fate.GONE

    def _grown(self, first: int, started: float) -> bool:
        if time.monotonic() - started > STILL * self._profile.block_time:
            return True
        return self._rpc.block_number() >= first + BLOCKS

    def _look(self, entry: Entry) -> Fate:
        """Ask once; with several endpoints each has to say both things itself."""
        if not isinstance(self._rpc, QuorumRpc):
            return self._look_at(self._rpc, entry)
        try:
            return self._rpc.each(
                "what became of a transaction", lambda rpc: self._look_at(rpc, entry)
            )
        except NodesDisagreeError:
            return Fate.OPEN

    def _look_at(self, rpc: Rpc, entry: Entry) -> Fate:
        """Ask one node: first the nonce, then the receipt, which must be there by then."""
        method = "eth_getTransactionCount"
        if quantity(method, rpc.request(method, [self._address, "latest"])) <= entry.nonce:
            return Fate.OPEN
        return Fate.GONE if _receipt(rpc, entry) is None else Fate.MINED


def _receipt(rpc: Rpc, entry: Entry) -> Mapping[str, Any] | None:
    found = rpc.request("eth_getTransactionReceipt", [entry.hash])
    return found if isinstance(found, dict) and found.get("blockNumber") else None
