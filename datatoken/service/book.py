"""The rounds of a recorder's jobs: in memory as on disk, and the documents made of them."""

import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import TypeVar

import structlog

from datatoken.authorization.view import Network
from datatoken.ddo.canonical import canonical_bytes
from datatoken.rounds import merkle
from datatoken.rounds.documents import (
    MAX_DOCUMENT_BYTES,
    MAX_RECEIPTS,
    Closing,
    NamedRound,
    RoundDocument,
    is_about,
)
from datatoken.rounds.grouping import Phase, Placement, Round, Rules, due, lingered, place
from datatoken.rounds.receipts import Acknowledgement, SignedReceipt
from datatoken.service.ledger import Ledger, Pending, Waiting
from datatoken.types import Address, Hex32

log = structlog.get_logger(__name__)
NAMED_IN_DOCUMENT = 64
NAMED_BYTES = 1024 * 1024
RECEIPT_BYTES = MAX_DOCUMENT_BYTES - NAMED_BYTES - 64 * 1024
"""A document that no reader takes would end its job's log; what does not fit comes next."""
T = TypeVar("T")


class JobBook:
    """A job's rounds and what servers named, in memory as on disk."""

    def __init__(self, ledger: Ledger, job: Hex32) -> None:
        self.rounds: dict[int, Round] = {found.id: found for found in ledger.rounds(job)}
        self.named: list[tuple[Waiting, NamedRound]] = []
        self.read_named(ledger, job)

    def read_named(self, ledger: Ledger, job: Hex32) -> None:
        """Read again what servers named and no document holds yet."""
        waiting = ledger.waiting_named(job)
        self.named = [(row, NamedRound.model_validate_json(row.content)) for row in waiting]

    def about(self, found: Round) -> list[NamedRound]:
        """Return what servers say of a round, in order of arrival."""
        return [named for _, named in self.named if is_about(named, found.key)]

    def is_over(self, named: NamedRound) -> bool:
        """Tell whether a server speaks of rounds whose documents all exist."""
        phases = {r.phase for r in self.rounds.values() if is_about(named, r.key)}
        return phases == {Phase.LOGGED}


class RoundBook:
    """Places receipts into rounds, closes rounds, writes documents. Thread-safe.

    Parameters
    ----------
    recorder : Address
        This recorder's account.
    network : Network
    ledger : Ledger
    rules_of : callable
        Returns when a job's rounds are over; may read the chain.
    linger : int
        Seconds that late receipts wait for a round to go with.
    """

    def __init__(
        self,
        recorder: Address,
        network: Network,
        ledger: Ledger,
        rules_of: Callable[[Hex32], Rules],
        linger: int,
    ) -> None:
        self._recorder, self._network, self._ledger = recorder, network, ledger
        self._rules_of, self._linger = rules_of, linger
        self._books: dict[Hex32, JobBook] = {}
        self.lock = threading.RLock()
        self.changed = threading.Event()
        """Set whenever there may be something to log."""

    def add(
        self, signed: SignedReceipt, content: bytes, acknowledgement: Acknowledgement
    ) -> Placement:
        """Place a checked receipt and store it; the rounds that it ends are closed."""
        receipt, now = signed.receipt, acknowledgement.time
        rules = self._rules_of(receipt.job)
        with self.lock:
            book = self._book(receipt.job)
            rounds = list(book.rounds.values())
            placement = place(
                rounds, receipt, now=now, next_id=len(rounds) + 1, parties=rules.parties
            )
            changed = (*placement.ended, placement.round)
            self._ledger.add_receipt(
                signed, content, canonical_bytes(acknowledgement), now, changed
            )
            book.rounds |= {found.id: found for found in changed}
            self._close_due(receipt.job, now, rules)
        return placement

    def add_named(self, job: Hex32, named: NamedRound, now: int) -> None:
        """Store what a server says of a round."""
        rules = self._rules_of(job)
        with self.lock:
            self._ledger.add_named(job, canonical_bytes(named), now)
            book = self._book(job)
            book.read_named(self._ledger, job)
            self._close_due(job, now, rules)

    def tick(self, now: int) -> None:
        """Close the rounds whose time-out has passed."""
        for job in self._ledger.active_jobs():
            rules = self._rules_of(job)
            with self.lock:
                self._close_due(job, now, rules)

    def pending(self, now: int, stuck: Collection[Hex32] = ()) -> list[Pending]:
        """Return the documents to be logged, one a job; write new ones where rounds are over.

        Parameters
        ----------
        stuck : collection of Hex32
            Jobs to leave alone.
        """
        found = {pending.job: pending for pending in reversed(self._ledger.pending())}
        for job in self._ledger.active_jobs():
            if job in found or job in stuck:
                continue
            timeout = self._rules_of(job).timeout
            with self.lock:
                made = self._write(job, now, timeout)
            if made is not None:
                found[job] = made
        return [pending for job, pending in found.items() if job not in stuck]

    def _close_due(self, job: Hex32, now: int, rules: Rules) -> None:
        book = self._book(job)
        open_rounds = [found for found in book.rounds.values() if found.phase is Phase.OPEN]
        closed = []
        for found in open_rounds:
            closing = due(found, book.about(found), rules, now=now)
            if closing is not None:
                closed.append(replace(found, phase=Phase.CLOSED, closing=closing))
        if closed:
            self._ledger.put_rounds(job, closed)
            book.rounds |= {found.id: found for found in closed}
        if any(found.phase is Phase.CLOSED for found in book.rounds.values()):
            self.changed.set()

    def _write(self, job: Hex32, now: int, timeout: int) -> Pending | None:
        """Write the next document of a job, if there is something to log."""
        book = self._book(job)
        closed = next((r for r in book.rounds.values() if r.phase is Phase.CLOSED), None)
        waiting = self._ledger.waiting_receipts(job)
        late = [row for row in waiting if book.rounds[row.round].phase is Phase.LOGGED]
        told = [pair for pair in book.named if book.is_over(pair[1])]
        if closed is None:
            claims = [row for row, named in told if named.annotations]
            if not lingered((r.received for r in (*late, *claims)), now=now, linger=self._linger):
                return None
        else:
            late = [row for row in waiting if row in late or row.round == closed.id]
            told = [
                (row, named)
                for row, named in book.named
                if is_about(named, closed.key)
                or book.is_over(named)
                or now - row.received > timeout
            ]
        receipts = _fitting(late[:MAX_RECEIPTS], lambda row: row, RECEIPT_BYTES)
        named = _fitting(told[:NAMED_IN_DOCUMENT], lambda pair: pair[0], NAMED_BYTES)
        document = self._document(job, closed, receipts, [words for _, words in named])
        logged = [replace(closed, phase=Phase.LOGGED)] if closed else []
        pending = self._ledger.add_document(
            document,
            canonical_bytes(document),
            [row.id for row in receipts],
            [row.id for row, _ in named],
            logged,
        )
        book.rounds |= {found.id: found for found in logged}
        book.read_named(self._ledger, job)
        return pending

    def _document(
        self,
        job: Hex32,
        closed: Round | None,
        rows: Sequence[Waiting],
        named: Sequence[NamedRound],
    ) -> RoundDocument:
        receipts = [SignedReceipt.model_validate_json(row.content) for row in rows]
        number, head = self._ledger.tip(job)
        return RoundDocument(
            chain_id=self._network.chain_id,
            log=self._network.log,
            job=job,
            recorder=self._recorder,
            number=number + 1,
            previous=head,
            salt="0x" + secrets.token_hex(32),
            closing=closed.closing or Closing.TIMEOUT if closed else Closing.LATE,
            closes=closed.key if closed else None,
            named=list(named),
            size=len(receipts),
            root=merkle.root([signed.receipt.digest() for signed in receipts]),
            receipts=receipts,
        )

    def _book(self, job: Hex32) -> JobBook:
        if job not in self._books:
            self._books[job] = JobBook(self._ledger, job)
        return self._books[job]


def _fitting(rows: Sequence[T], waiting: Callable[[T], Waiting], most: int) -> list[T]:
    """Return the first rows whose contents have at most `most` bytes together."""
    found, size = [], 0
    for row in rows:
        size += len(waiting(row).content) + 1
        if size > most:
            break
        found.append(row)
    return found
