"""Puts documents on the chain: one transaction a round, none lost, none doubled.

A document is on disk before its transaction is signed, and a signed transaction is on disk
before it is sent (`datatoken.chain.transactions`). The idempotency key is job and previous
head, so whatever crashed, sending again takes up the same transaction; and the contract
refuses a second append to the same head.
"""

import threading
from dataclasses import dataclass
from typing import Protocol

import structlog

from datatoken.chain.contracts import RoundLog
from datatoken.chain.errors import ContractError
from datatoken.chain.transactions import Sender, Sent
from datatoken.errors import DataTokenError
from datatoken.service.ledger import Pending
from datatoken.service.recorder import Recorder
from datatoken.types import Hex32

log = structlog.get_logger(__name__)
INTERVAL = 0.5
LONGEST_PAUSE = 30.0


@dataclass(frozen=True, slots=True)
class Logged:
    """The transaction that logged a round."""

    tx: str
    block: int
    gas: int


class StaleHeadError(DataTokenError):
    """The chain holds another head than the document builds on."""

    def __init__(self, stored: str) -> None:
        super().__init__(f"The chain holds head {stored[:10]}….")
        self.stored = stored


class Appender(Protocol):
    """Appends to the log on the chain."""

    def submit(self, pending: Pending) -> Sent:
        """Send the transaction of a document, or take up the one that was sent."""
        ...

    def wait(self, sent: Sent) -> Logged:
        """Wait until a transaction is mined."""
        ...


class ChainAppender:
    """Appends through a sender.

    Parameters
    ----------
    sender : Sender
        The recorder's account.
    contract : RoundLog
    """

    def __init__(self, sender: Sender, contract: RoundLog) -> None:
        self._sender, self._contract = sender, contract

    def submit(self, pending: Pending) -> Sent:
        """Send the transaction of a document, or take up the one that was sent.

        Raises
        ------
        StaleHeadError
            When the chain's head is not the one that the document builds on.
        DataTokenError
            When it can't be sent now; repeating is safe.
        """
        intent = self._contract.append(pending.job, pending.previous, pending.digest)
        key = f"round:{pending.job}:{pending.previous}"
        try:
            return self._sender.submit(intent, key)
        except ContractError as error:
            if error.name == "StaleHead":
                raise StaleHeadError(str(error.arguments["stored"])) from error
            raise

    def wait(self, sent: Sent) -> Logged:
        """Wait until a transaction is mined; raise `DataTokenError` when it is not."""
        receipt = self._sender.wait(sent)
        return Logged(receipt.tx_hash, receipt.block_number, receipt.gas_used)


class RoundLogger:
    """A thread that logs what the recorder has to log.

    Parameters
    ----------
    recorder : Recorder
    appender : Appender
    interval : float
        Seconds between two looks for time-outs; a round that is over is logged at once.
    """

    def __init__(
        self, recorder: Recorder, appender: Appender, *, interval: float = INTERVAL
    ) -> None:
        self._recorder, self._appender, self._interval = recorder, appender, interval
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="round-logger", daemon=True)
        self.stuck: set[Hex32] = set()
        """Jobs whose head on the chain is not this recorder's: its ledger was lost or copied."""
        self.failures = 0
        """Failed attempts since the last success."""

    def start(self) -> None:
        """Start logging, with what an earlier process has left."""
        self._thread.start()

    def stop(self, timeout: float = 10.0) -> None:
        """End the thread; what is not logged waits on disk."""
        self._stop.set()
        self._recorder.book.changed.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    @property
    def alive(self) -> bool:
        """Tell whether the thread runs."""
        return self._thread.is_alive()

    def step(self) -> int:
        """Log everything that is over, one document a job; return how many were logged."""
        waiting: list[tuple[Pending, Sent]] = []
        for pending in self._recorder.pending(self.stuck):
            try:
                waiting.append((pending, self._appender.submit(pending)))
            except StaleHeadError as error:
                self._stale(pending, error)
            except DataTokenError as error:
                self._failed(pending, error)
        done = 0
        for pending, sent in waiting:
            try:
                logged = self._appender.wait(sent)
            except DataTokenError as error:
                self._failed(pending, error)
                continue
            self._recorder.confirm(pending, logged.tx, logged.block, logged.gas)
            self.failures = 0
            done += 1
        return done

    def _stale(self, pending: Pending, error: StaleHeadError) -> None:
        if error.stored == pending.head:  # it is on the chain, the journal was lost
            self._recorder.confirm(pending, "", 0, 0)
            return
        self.stuck.add(pending.job)
        log.error(
            "the chain holds another log of this recorder; the job is left alone",
            job=pending.job,
            round=pending.number,
            stored=error.stored,
        )

    def _failed(self, pending: Pending, error: DataTokenError) -> None:
        self.failures += 1
        log.warning(
            "round not logged yet",
            job=pending.job,
            round=pending.number,
            error=error.code,
            why=error.message,
        )

    def _loop(self) -> None:
        while not self._stop.is_set():
            self._recorder.book.changed.clear()
            try:
                if self.step():
                    continue  # late receipts may be ready for the next document
            except Exception as error:  # the thread must outlive a full disk, too
                self.failures += 1
                log.error("logging failed", error=type(error).__name__)
            if self.failures:
                self._stop.wait(min(self._interval * 2 ** min(self.failures, 10), LONGEST_PAUSE))
            else:
                self._recorder.book.changed.wait(self._interval)
