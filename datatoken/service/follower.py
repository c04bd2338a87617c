"""The recorder's log of jobs, believed only verified, on the reader's own disk."""

import sqlite3
import threading
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import ChainState, LogState, Network
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.rounds.checker import advance
from datatoken.rounds.documents import MAX_DOCUMENT_BYTES, InclusionProof, RoundDocument
from datatoken.rounds.grouping import regroup
from datatoken.service.problems import ServiceError
from datatoken.types import ZERO32, Address, Hex32

if TYPE_CHECKING:
    from datatoken.service.client import RecorderClient

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (job TEXT NOT NULL, number INTEGER NOT NULL,
    content BLOB NOT NULL, PRIMARY KEY (job, number));
CREATE TABLE IF NOT EXISTS proofs (receipt TEXT PRIMARY KEY, job TEXT NOT NULL,
    content BLOB NOT NULL);
"""


class SnapshotReader(Protocol):
    """What the follower reads from a chain (`datatoken.chain.reader.ChainReader`)."""

    network: Network

    def snapshot(
        self, job: Hex32, edges: Sequence[tuple[Hex32, Hex32]], operations: Sequence[Hex32] = ()
    ) -> ChainState:
        """Return the records of DTs at one block."""
        ...


class LogFollower:
    """The recorder's log of jobs, verified, on the reader's own disk.

    Parameters
    ----------
    client : RecorderClient or callable
        The recorder's client, or a function from a job to its recorder's client.
    reader : SnapshotReader
        Where the owners of DTs are read, once for each DT.
    path : Path
        SQLite file for documents and proofs.
    own : collection of Hex32
        The DTs whose inclusion proofs are kept.
    """

    def __init__(
        self,
        client: "RecorderClient | Callable[[Hex32], RecorderClient]",
        reader: SnapshotReader,
        path: Path,
        *,
        own: Collection[Hex32] = (),
    ) -> None:
        self._client, self._reader, self._own = client, reader, frozenset(own)
        self._logs: dict[Hex32, LogState] = {}
        self._owners: dict[Hex32, Address] = {}
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.executescript(_SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(
                f"The log file {path} can't be written: {error}.",
                "Give a folder that this account may write to.",
            ) from None

    def update(self, job: Hex32, head: str, number: int) -> LogState:
        """Return the verified log of `job` at the on-chain head.

        Makes no HTTP call when the head has not moved. What was verified is on disk before it
        is returned.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE, RECORDER_BEHIND, LOG_FORKED, LOG_INVALID, ROLLED_BACK_VIEW.
        """
        with self._lock:
            log = self._log(job)
            if (head, number) == (log.head, log.round):
                return log
            documents: list[RoundDocument] = []
            client = self._client_of(job)
            if number > log.round:
                try:
                    documents = client.documents(job, log.round, number)[: number - log.round]
                except ServiceError as problem:
                    raise Refused(
                        Reason.RECORDER_UNREACHABLE,
                        f"The recorder does not show its log: {problem.message}",
                    ) from problem
            contents = [_content(document) for document in documents]
            log = advance(
                log,
                documents,
                head,
                number,
                network=self._reader.network,
                job=job,
                recorder=client.recorder,
                owners=self._owners_of(job, documents),
            )
            self._keep(job, documents, contents)
            self._logs[job] = log
            return log

    def _client_of(self, job: Hex32) -> "RecorderClient":
        if not callable(self._client):
            return self._client
        try:
            return self._client(job)
        except BadInputError as error:  # the endpoint is what a stranger's DDO says
            raise Refused(Reason.RECORDER_UNREACHABLE, error.message) from error

    def documents(self, job: Hex32) -> list[RoundDocument]:
        """Return the verified documents of a job, from the own disk."""
        with self._lock:
            rows = self._db.execute(
                "SELECT content FROM documents WHERE job = ? ORDER BY number", (job,)
            ).fetchall()
        return [
            parse_document(RoundDocument, content, "round document", MAX_DOCUMENT_BYTES)
            for (content,) in rows
        ]

    def proofs(self, job: Hex32) -> list[InclusionProof]:
        """Return the inclusion proofs of the own receipts of a job, from the own disk."""
        with self._lock:
            rows = self._db.execute(
                "SELECT content FROM proofs WHERE job = ? ORDER BY rowid", (job,)
            ).fetchall()
        return [
            parse_document(InclusionProof, content, "inclusion proof", MAX_DOCUMENT_BYTES)
            for (content,) in rows
        ]

    def _log(self, job: Hex32) -> LogState:
        """Return what was verified; after a restart it is read again, not verified again."""
        if job not in self._logs:
            log = LogState()
            for document in self.documents(job):
                receipts = [signed.receipt for signed in document.receipts]
                groups = regroup(log.groups, receipts)
                included = log.included | set(document.leaves())
                log = LogState(document.head(), document.number, groups, included)
            self._logs[job] = log
        return self._logs[job]

    def _owners_of(self, job: Hex32, documents: Sequence[RoundDocument]) -> Mapping[Hex32, Address]:
        named = {signed.receipt.dt for document in documents for signed in document.receipts}
        if unknown := sorted(named - set(self._owners)):
            state = self._reader.snapshot(job, [(dt, ZERO32) for dt in unknown])
            self._owners |= {
                dt: state.records[dt].owner for dt in unknown if state.records[dt].exists
            }
        return self._owners

    def _keep(
        self, job: Hex32, documents: Sequence[RoundDocument], contents: Sequence[bytes]
    ) -> None:
        """Write verified documents and the proofs of the own receipts, in one transaction."""
        with self._db:
            for document, content in zip(documents, contents, strict=True):
                row = (job, document.number, content)
                self._db.execute("INSERT OR IGNORE INTO documents VALUES (?, ?, ?)", row)
                for signed in document.receipts:
                    if signed.receipt.dt not in self._own:
                        continue
                    proof = document.proof(signed.receipt.digest())
                    if not proof.holds():
                        raise Refused(Reason.LOG_INVALID, "An own receipt's proof does not hold.")
                    self._db.execute(
                        "INSERT OR IGNORE INTO proofs VALUES (?, ?, ?)",
                        (proof.receipt, job, canonical_bytes(proof)),
                    )

    def close(self) -> None:
        """Close the file."""
        self._db.close()


def _content(document: RoundDocument) -> bytes:
    """Return the bytes to keep; refuse a document that could not be read again."""
    try:
        content = canonical_bytes(document)
    except BadInputError as error:
        raise Refused(Reason.LOG_INVALID, error.message) from None
    if len(content) > MAX_DOCUMENT_BYTES:
        raise Refused(
            Reason.LOG_INVALID,
            f"Document {document.number} of the log has {len(content)} bytes; "
            f"{MAX_DOCUMENT_BYTES} are allowed.",
        )
    return content
