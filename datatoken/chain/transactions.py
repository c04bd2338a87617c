"""Sends transactions so that a crash or a lost answer neither loses nor repeats one.

Under one lock: allocate the nonce, sign, write the raw bytes to the journal, send. Whatever
happens then, repeating the command finds the journal's entry and sends the same bytes again.
"""

import contextlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datatoken.chain.attempts import (
    Attempts,
    TransactionPendingError,
    TransactionReplacedError,
    replaced,
    state_of,
)
from datatoken.chain.errors import ContractError
from datatoken.chain.event_codec import decode_log
from datatoken.chain.fates import Fate
from datatoken.chain.intents import Receipt, Transaction
from datatoken.chain.journal import Entry, Journal, State
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.signer import Signer
from datatoken.errors import ChainUnreachableError, TransactionError

__all__ = ["Sender", "Sent", "TransactionPendingError", "TransactionReplacedError"]

REBROADCAST_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Sent:
    """A transaction on its way; give it to `Sender.wait`."""

    entry: Entry
    intent: Transaction | None

    @property
    def tx_hash(self) -> str:
        """Hash of the transaction."""
        return self.entry.hash


class Sender:
    """Sends the transactions of one account. Thread-safe.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    signer : Signer
        The account.
    profile : NetworkProfile
        The chain's rules.
    journal_path : Path
        Journal file; all processes that use the account on this machine share it.
    """

    def __init__(
        self, rpc: Rpc, signer: Signer, profile: NetworkProfile, journal_path: Path
    ) -> None:
        self.rpc = rpc
        self.signer = signer
        self.profile = profile
        self._journal = Journal(journal_path, signer.address)
        self._attempts = Attempts(rpc, signer, profile, self._journal)

    @property
    def address(self) -> str:
        """The account."""
        return self.signer.address

    def send(self, intent: Transaction, key: str | None = None) -> Receipt:
        """Send a transaction and wait until it is mined.

        Parameters
        ----------
        intent : Transaction
            What to send.
        key : str, optional
            Idempotency key: the transaction is sent once for this key, however often the
            command is repeated. Without a key, only an equal transaction whose answer was
            lost is taken up again.

        Raises
        ------
        ContractError
            When the contract refuses; nothing was sent, or it was mined and reverted.
        TransactionPendingError
            When it is not mined in time; repeating is safe.
        ChainUnreachableError
            When no endpoint answers; repeating is safe.
        """
        return self.wait(self.submit(intent, key))

    def submit(self, intent: Transaction, key: str | None = None) -> Sent:
        """Sign, journal and send a transaction without waiting; see `send`."""
        with self._journal.locked():
            self._attempts.start()
            return Sent(self._attempts.take(intent, key), intent)

    def wait(self, sent: Sent) -> Receipt:
        """Wait until a transaction is mined and confirmed; see `send`."""
        entry = sent.entry
        try:
            receipt = self._finish(entry, self._await_receipt(entry), sent.intent)
        except BaseException:
            # Whoever repeats the command takes this transaction over.
            self._journal.release(entry)
            raise
        self._journal.deliver(entry)
        return receipt

    def resume(self) -> tuple[Receipt, ...]:
        """Send again what was signed and is not mined, the same bytes; wait for it.

        Returns
        -------
        tuple[Receipt, ...]
            Receipts of those that succeeded. A repeated command still finds each of them.
        """
        with self._journal.locked():
            self._attempts.start()
            self._attempts.settle_all()
            entries = self._journal.unsettled()
        receipts = []
        for entry in entries:
            try:
                receipts.append(self._finish(entry, self._await_receipt(entry), None))
            except (ContractError, TransactionReplacedError):
                continue
        return tuple(receipts)

    def close(self) -> None:
        """Close the journal."""
        self._journal.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the journal."""
        self.close()

    def _await_receipt(self, entry: Entry) -> Mapping[str, Any]:
        deadline = time.monotonic() + self.profile.receipt_timeout
        again = time.monotonic() + REBROADCAST_SECONDS
        pause = self.profile.poll_interval / 16  # a local chain mines at once
        refusal: RpcError | None = None
        while True:
            raw = self._attempts.fates.receipt(entry)
            if raw is not None and self._confirmed(raw):
                return raw
            now = time.monotonic()
            if raw is None and now > again:
                again = now + REBROADCAST_SECONDS
                if self._attempts.fate(entry) is Fate.GONE:
                    raise replaced(entry)
                # It was taken once: a refusal now may come from another node than the one that
                # did, and whether any is there, the next look at the receipt will say.
                with contextlib.suppress(ChainUnreachableError):
                    refusal = self._attempts.offer(entry)
            if now > deadline:
                raise _pending(entry, self.profile.receipt_timeout, refusal)
            time.sleep(pause)
            pause = min(2 * pause, self.profile.poll_interval)

    def _confirmed(self, raw: Mapping[str, Any]) -> bool:
        if self.profile.confirmations == 0:
            return True
        mined = int(raw["blockNumber"], 16)
        return self.rpc.block_number() >= mined + self.profile.confirmations

    def _finish(self, entry: Entry, raw: Mapping[str, Any], intent: Transaction | None) -> Receipt:
        self._journal.settle(entry, state_of(raw))
        self._journal.exclude(entry)
        if state_of(raw) is State.REVERTED:
            raise self._reverted(entry, raw, intent)
        created = raw.get("contractAddress")
        return Receipt(
            tx_hash=entry.hash,
            block_number=int(raw["blockNumber"], 16),
            gas_used=int(raw["gasUsed"], 16),
            events=tuple(event for event in map(decode_log, raw["logs"]) if event is not None),
            contract=str(created).lower() if created else None,
        )

    def _reverted(
        self, entry: Entry, raw: Mapping[str, Any], intent: Transaction | None
    ) -> TransactionError:
        """Run a reverted transaction again as a call, to learn why."""
        why = (
            self._attempts.pricing.reason(intent, raw["blockNumber"])
            if intent is not None
            else None
        )
        if why is not None:
            return why
        return ContractError({}, f"{entry.label} was mined and reverted ({entry.hash}).")


def _pending(entry: Entry, seconds: float, refusal: RpcError | None) -> TransactionPendingError:
    why = f" The endpoint now says: {refusal.text}." if refusal else ""
    return TransactionPendingError(
        f"{entry.label} was sent ({entry.hash}) and is not mined after {seconds:.0f} s.{why}",
        "Repeat the command later; it is not sent twice.",
    )
