"""The block that a view is pinned to: a quorum reports it, fresh, and never an older one."""

import time
from collections.abc import Callable
from typing import TypeVar

from datatoken.chain.endpoints import header
from datatoken.chain.panel import Panel
from datatoken.chain.pinning import Block, agreed, candidates, settled
from datatoken.chain.rpc import ReplyLimitError, Rpc
from datatoken.chain.seen import SeenBlocks
from datatoken.errors import (
    ChainUnreachableError,
    NodesDisagreeError,
    RolledBackViewError,
    StaleViewError,
)

_T = TypeVar("_T")
LOOK_AGAIN = 0.1
"""Seconds between two looks."""


class Heads:
    """Finds the newest block that a panel agrees on.

    Parameters
    ----------
    panel : Panel
        The endpoints.
    seen : SeenBlocks
        The newest blocks seen so far.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(self, panel: Panel, seen: SeenBlocks, clock: Callable[[], float]) -> None:
        self._panel, self.seen, self._clock = panel, seen, clock
        self._restored = set(seen.tags())

    def pin(self, tag: str, deadline: float) -> Block:
        """Return the newest block that a quorum reports; see `QuorumRpc.pin`."""
        if tag in self._restored:
            self._until(lambda: self._compare_restored(tag, deadline), deadline)
            self._restored.discard(tag)
        return self._until(lambda: self._not_older(tag, deadline), deadline)

    def at(self, number: int, deadline: float) -> Block:
        """Return the block of a number that a quorum has."""
        return self._panel.agree(
            f"block {number}", lambda _, rpc: header(rpc, hex(number)), deadline
        )

    def persist(self, look: Callable[[], _T], deadline: float) -> _T:
        """Look again until the deadline: honest nodes take a block in at different moments."""
        disagreed: NodesDisagreeError | None = None
        while True:
            failed: ChainUnreachableError
            try:
                return look()
            except (RolledBackViewError, StaleViewError, ReplyLimitError):
                raise
            except NodesDisagreeError as error:
                failed = disagreed = error
            except ChainUnreachableError as error:
                # The last look may have been cut short: what was found before it counts.
                failed = disagreed or error
            if time.monotonic() + LOOK_AGAIN > deadline:
                raise failed
            time.sleep(LOOK_AGAIN)

    def persist_at(
        self, pin: Callable[[], Block], ask: Callable[[Block], _T], deadline: float
    ) -> _T:
        """Ask at one block until the deadline; from half of the time on at another one.

        The same block, because a node that is always one behind never has the newest one;
        another one, because a block may be replaced.
        """
        block: Block | None = None
        change = (time.monotonic() + deadline) / 2

        def look() -> _T:
            nonlocal block, change
            if block is None or time.monotonic() > change:
                if block is not None:
                    change = deadline
                block = pin()
            return ask(block)

        return self.persist(look, deadline)

    def _until(self, look: Callable[[], _T], deadline: float) -> _T:
        """Look again while the view is too old: honest nodes are a block apart now and then."""
        rolled_back: RolledBackViewError | None = None
        while True:
            try:
                return look()
            except RolledBackViewError as error:
                rolled_back = error
            except ChainUnreachableError as error:
                # The last look may have been cut short: what was found before it counts.
                raise (rolled_back or error) from None
            if time.monotonic() + LOOK_AGAIN > deadline:
                raise rolled_back
            time.sleep(LOOK_AGAIN)

    def _not_older(self, tag: str, deadline: float) -> Block:
        block = self._newest(tag, deadline)
        self._check_age(block)
        last = self.seen.last(tag)
        if last is not None:
            _compare(block, last)
        # Another process may have seen more since.
        _compare(block, self.seen.advance(tag, block))
        return block

    def _compare_restored(self, tag: str, deadline: float) -> None:
        """Once after a restart, compare the block that was seen last with what is there now."""
        last = self.seen.last(tag)
        assert last is not None
        found = self._panel.agree(
            f"block {last.number}", lambda _, rpc: _hash_at(rpc, last.number), deadline
        )
        if found != last.hash:
            now = f"{found[:10]}…" if found else "missing"
            raise RolledBackViewError(
                f"Block {last.number} was {last.hash[:10]}… before the restart and is {now} "
                "now: another chain, or one that was rolled back.",
                f"Name endpoints that are in sync; delete {self.seen.path} only where the "
                "chain itself was started anew.",
            )

    def _check_age(self, block: Block) -> None:
        bound = self._panel.rules.max_age
        age = self._clock() - block.time
        if abs(age) > bound:
            raise StaleViewError(
                f"Block {block.number}, the newest that {self._panel.rules.quorum} endpoints "
                f"know, is {abs(age):.0f} s {'old' if age > 0 else 'ahead'}; "
                f"{bound:.0f} s are allowed.",
                "Check that the nodes are in sync and that this machine's clock is right.",
            )

    def _newest(self, tag: str, deadline: float) -> Block:
        """Return the newest block of a quorum; wait for late endpoints only when it needs them."""
        try:
            return self._newest_of(tag, deadline, self._panel.patience)
        except NodesDisagreeError:
            return self._newest_of(tag, deadline, None)

    def _newest_of(self, tag: str, deadline: float, patience: float | None) -> Block:
        panel, quorum = self._panel, self._panel.rules.quorum
        found = panel.ask(
            lambda _, rpc: header(rpc, tag),
            lambda heads: settled(list(heads.values()), quorum),
            deadline,
            patience=patience,
        )
        if not panel.enough(found.answers):
            raise panel.too_few("which block is the newest", found)
        heads = found.answers
        for number in candidates(list(heads.values()), quorum):
            block = agreed({u: head for u, head in heads.items() if head.number == number}, quorum)
            if block is None:
                block = self._at_or_none(number, deadline)
            if block is not None:
                return block
        raise panel.no_quorum("the newest block", found)

    def _at_or_none(self, number: int, deadline: float) -> Block | None:
        try:
            return self.at(number, deadline)
        except ChainUnreachableError:  # a liar's number must not hide the honest nodes' block
            if time.monotonic() >= deadline:
                raise
            return None


def _compare(block: Block, last: Block) -> None:
    """Refuse a block that is older than the newest one seen, or another one in its place."""
    if block.number <= last.number and block.hash != last.hash:
        raise RolledBackViewError(
            f"The endpoints show block {block.number} ({block.hash[:10]}…); "
            f"{last.number} ({last.hash[:10]}…) was seen before.",
            "Name endpoints that are in sync.",
        )


def _hash_at(rpc: Rpc, number: int) -> str:
    """Return a block's hash, empty where the endpoint has no such block."""
    found = rpc.request("eth_getBlockByNumber", [hex(number), False])
    return str(found["hash"]).lower() if isinstance(found, dict) and "hash" in found else ""
