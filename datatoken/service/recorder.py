"""The recorder: takes receipts, makes rounds of them, serves documents and proofs.

Who may do what is decided here; which receipts make a round in `datatoken.rounds.grouping`;
documents are made in `datatoken.service.book`, transactions in `datatoken.service.logger`.
No HTTP and no chain in this module.
"""

import time
from collections.abc import Callable, Collection
from typing import Protocol

import structlog

from datatoken.authorization.view import Network
from datatoken.ddo.canonical import parse_document, parse_json, validate
from datatoken.ddo.terms import Terms
from datatoken.errors import BadInputError
from datatoken.rounds.checker import check_receipt
from datatoken.rounds.documents import (
    MAX_DOCUMENT_BYTES,
    InclusionProof,
    NamedRound,
    RoundDocument,
)
from datatoken.rounds.grouping import DEFAULT_LINGER, Rules
from datatoken.rounds.receipts import Acknowledgement, Delegation, SignedReceipt
from datatoken.service.book import RoundBook
from datatoken.service.jobs import JobFacts
from datatoken.service.ledger import Ledger, Pending
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.signing import MessageSigner
from datatoken.types import Address, Hex32

log = structlog.get_logger(__name__)
MAX_RECEIPT_BYTES = 16 * 1024
MAX_NAMING_BYTES = 512 * 1024
MAX_WAITING = 64
"""Receipts of one DT that may wait for a document: a spammer fills its own share only."""
MAX_NAMED = 256
MAX_NAMED_WAITING = 4 * 1024 * 1024
"""Bytes of one job's named rounds: all of them are read again when one is added."""
PAGE_DOCUMENTS = 64
PAGE_BYTES = 16 * 1024 * 1024


class JobSource(Protocol):
    """Knows the recorder's jobs (`datatoken.service.jobs.Jobs`)."""

    def get(self, job: Hex32) -> JobFacts:
        """Return a job of this recorder, or raise `ServiceError`."""
        ...


class Recorder:
    """The recorder's state machine. Thread-safe; safe to kill at any moment.

    Parameters
    ----------
    signer : MessageSigner
        The recorder's own key: it signs acknowledgements.
    network : Network
        Chain and contracts.
    jobs : JobSource
    ledger : Ledger
    auditors : collection of Address
        Accounts that may read every job's documents.
    linger : int
        Seconds that late receipts wait for a round to go with.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(
        self,
        signer: MessageSigner,
        network: Network,
        jobs: JobSource,
        ledger: Ledger,
        *,
        auditors: Collection[Address] = (),
        linger: int = DEFAULT_LINGER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.address = signer.address
        self._signer, self._network, self._jobs, self._ledger = signer, network, jobs, ledger
        self._auditors, self._clock = frozenset(auditors), clock
        self.book = RoundBook(self.address, network, ledger, self._rules_of, linger)

    # Receipts

    def accept(self, content: bytes) -> Acknowledgement:
        """Take a receipt; it is on disk when the acknowledgement is returned.

        Raises
        ------
        ServiceError
        """
        try:
            signed = parse_document(SignedReceipt, content, "receipt", MAX_RECEIPT_BYTES)
        except BadInputError as error:
            raise ServiceError(ServiceCode.MALFORMED, error.message) from None
        receipt, now = signed.receipt, int(self._clock())
        digest = receipt.digest()
        if (known := self._known(digest)) is not None:
            return known
        self._check(signed, now)
        with self.book.lock:
            if (known := self._known(digest)) is not None:
                return known
            if self._ledger.waiting_of(receipt.job, receipt.dt) >= MAX_WAITING:
                raise ServiceError(
                    ServiceCode.TOO_MANY, f"{MAX_WAITING} receipts of this DT wait to be logged."
                )
            acknowledgement = self._acknowledge(digest, receipt.job, now)
            placement = self.book.add(signed, content, acknowledgement)
        log.info(
            "receipt", job=receipt.job, run=receipt.run, dt=receipt.dt, kind=receipt.kind.value,
            sequence=receipt.sequence, receipt=digest, late=placement.late,
        )  # fmt: skip
        return acknowledgement

    def _known(self, digest: Hex32) -> Acknowledgement | None:
        found = self._ledger.acknowledgement(digest)
        return Acknowledgement.model_validate_json(found) if found is not None else None

    def _check(self, signed: SignedReceipt, now: int) -> None:
        receipt = signed.receipt
        facts = self._jobs.get(receipt.job)
        owner = facts.owners.get(receipt.dt)
        if owner is None:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, f"DT {receipt.dt[:10]}… has no position in the job."
            )
        if why := check_receipt(signed, receipt.job, self._network, owner):
            raise ServiceError(ServiceCode.RECEIPT_INVALID, f"The receipt is refused: {why}.")
        if signed.delegation.expiry <= now:
            raise ServiceError(
                ServiceCode.DELEGATION_EXPIRED, "The delegation of the node's key has expired."
            )

    def _acknowledge(self, digest: Hex32, job: Hex32, now: int) -> Acknowledgement:
        signed = Acknowledgement.digest(digest, job, self.address, now)
        return Acknowledgement(
            receipt=digest,
            job=job,
            recorder=self.address,
            time=now,
            signature=self._signer.sign_message(bytes.fromhex(signed[2:])),
        )

    # What servers name

    def name(
        self, job: Hex32, account: Address, delegation: Delegation | None, content: bytes
    ) -> None:
        """Take what a server says of a round. `account` signed the request.

        Raises
        ------
        ServiceError
        """
        now = int(self._clock())
        facts = self._jobs.get(job)
        owners = {facts.owners.get(dt) for dt in facts.composites}
        speaks = account in owners or self.speaks_for(job, account, delegation) in facts.composites
        if not speaks:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "Only the owner of a composite of the job names rounds."
            )
        try:
            plain = parse_json(content, "naming", MAX_NAMING_BYTES)
            if not isinstance(plain, dict) or "by" in plain:
                raise BadInputError("The naming is not an object of the documented fields.")
            named = validate(NamedRound, {**plain, "by": account}, "naming")
        except BadInputError as error:
            raise ServiceError(ServiceCode.MALFORMED, error.message) from None
        with self.book.lock:
            waiting = self._ledger.waiting_named(job)
            size = sum(len(row.content) for row in waiting)
            if len(waiting) >= MAX_NAMED or size >= MAX_NAMED_WAITING:
                raise ServiceError(ServiceCode.TOO_MANY, "Too many named rounds wait.")
            self.book.add_named(job, named, now)

    # Documents

    def documents(
        self, job: Hex32, account: Address, delegation: Delegation | None, since: int
    ) -> list[bytes]:
        """Return one page of stored documents after number `since`; raise `ServiceError`."""
        self.check_entitled(job, account, delegation)
        page: list[bytes] = []
        size = 0
        for content in self._ledger.documents(job, since, PAGE_DOCUMENTS):
            if page and size + len(content) > PAGE_BYTES:
                break
            page.append(content)
            size += len(content)
        return page

    def proof(
        self, job: Hex32, account: Address, delegation: Delegation | None, receipt: Hex32
    ) -> InclusionProof:
        """Return the inclusion proof of a receipt; raise `ServiceError`."""
        self.check_entitled(job, account, delegation)
        content = self._ledger.document_of(job, receipt)
        if content is None:
            raise ServiceError(
                ServiceCode.RECEIPT_UNKNOWN, f"No document holds receipt {receipt[:10]}… yet."
            )
        document = parse_document(RoundDocument, content, "document", MAX_DOCUMENT_BYTES)
        return document.proof(receipt)

    def check_entitled(self, job: Hex32, account: Address, delegation: Delegation | None) -> None:
        """Refuse an account that is neither participant nor auditor; raise `ServiceError`."""
        facts = self._jobs.get(job)
        entitled = (
            account in self._auditors
            or account in (self.address, facts.job.guarantor)
            or account in facts.owners.values()
            or self._ledger.is_reporter(job, account)
            or self.speaks_for(job, account, delegation) is not None
        )
        if not entitled:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "The account is neither participant nor auditor."
            )

    def speaks_for(
        self, job: Hex32, account: Address, delegation: Delegation | None
    ) -> Hex32 | None:
        """Return the DT of the job that a delegation lets `account` speak for, now."""
        if delegation is None or not self._of_this_chain(delegation):
            return None
        vouched = self._jobs.get(job).vouches(delegation, account, int(self._clock()))
        return delegation.dt if vouched else None

    def _of_this_chain(self, delegation: Delegation) -> bool:
        expected = (self._network.chain_id, self._network.tokens)
        return (delegation.chain_id, delegation.registry) == expected

    def _rules_of(self, job: Hex32) -> Rules:
        try:
            return self._jobs.get(job).rules
        except ServiceError:  # chain or store is out of reach after a restart
            return Rules(Terms().round_timeout)

    # For the logger

    def pending(self, stuck: Collection[Hex32] = ()) -> list[Pending]:
        """Return the documents to be logged, one a job, but for the `stuck` jobs."""
        now = int(self._clock())
        self.book.tick(now)
        return self.book.pending(now, stuck)

    def confirm(self, pending: Pending, tx: str, block: int, gas: int) -> None:
        """Note that a document is on the chain."""
        self._ledger.confirm(pending, tx, block, gas)
        log.info("round logged", job=pending.job, round=pending.number, tx=tx, block=block, gas=gas)

    def totals(self) -> dict[str, int]:
        """Return counts for the metrics."""
        return self._ledger.totals()

    def spend(self, account: Address, nonce: str, until: int) -> bool:
        """Keep the nonce of a signed request; return whether it is new."""
        return self._ledger.spend(account, nonce, until, now=int(self._clock()))
