"""What a recorder keeps on disk: receipts, rounds, documents, what servers named, spent nonces.

Every method is one transaction, on disk (synchronous=FULL) when it returns: an acknowledged
receipt survives any crash, and a document exists before its transaction is sent.
"""

import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from datatoken.rounds.documents import Closing, RoundDocument, RoundKey
from datatoken.rounds.grouping import Phase, Round
from datatoken.rounds.receipts import ZERO_HEAD, SignedReceipt
from datatoken.service.database import Database
from datatoken.types import Address, Hex32

_SCHEMA = """
CREATE TABLE IF NOT EXISTS receipts (
    id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, job TEXT NOT NULL, dt TEXT NOT NULL,
    node TEXT NOT NULL, round INTEGER NOT NULL, received INTEGER NOT NULL,
    content BLOB NOT NULL, acknowledgement BLOB NOT NULL, document INTEGER);
CREATE INDEX IF NOT EXISTS receipts_by_round ON receipts (job, round);
CREATE INDEX IF NOT EXISTS receipts_waiting ON receipts (job, dt) WHERE document IS NULL;
CREATE TABLE IF NOT EXISTS rounds (
    job TEXT NOT NULL, id INTEGER NOT NULL, key BLOB NOT NULL, opened INTEGER NOT NULL,
    phase TEXT NOT NULL, closing TEXT, PRIMARY KEY (job, id));
CREATE TABLE IF NOT EXISTS named (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, received INTEGER NOT NULL,
    content BLOB NOT NULL, document INTEGER);
CREATE INDEX IF NOT EXISTS named_waiting ON named (job) WHERE document IS NULL;
CREATE TABLE IF NOT EXISTS documents (
    job TEXT NOT NULL, number INTEGER NOT NULL, head TEXT NOT NULL, digest TEXT NOT NULL,
    previous TEXT NOT NULL, content BLOB NOT NULL, tx TEXT, block INTEGER, gas INTEGER,
    PRIMARY KEY (job, number));
"""


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that no document holds yet."""

    id: int
    received: int
    round: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Pending:
    """A document whose transaction is not known to be mined."""

    job: Hex32
    number: int
    previous: str
    head: str
    digest: Hex32


class Ledger(Database):
    """The recorder's SQLite file.

    Parameters
    ----------
    path : Path
        Made when missing.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA, "recorder's ledger")

    # Receipts and rounds

    def rounds(self, job: Hex32) -> list[Round]:
        """Return all rounds of a job with their members, in order of opening."""
        members: dict[int, set[Hex32]] = {}
        for found, dt in self._rows("SELECT round, dt FROM receipts WHERE job = ?", job):
            members.setdefault(int(str(found)), set()).add(str(dt))
        with self._lock:
            rows = self._db.execute(
                "SELECT id, key, opened, phase, closing FROM rounds WHERE job = ? ORDER BY id",
                (job,),
            ).fetchall()
        return [
            Round(
                number,
                RoundKey.model_validate_json(key),
                opened,
                frozenset(members.get(number, ())),
                Phase(phase),
                Closing(closing) if closing else None,
            )
            for number, key, opened, phase, closing in rows
        ]

    def acknowledgement(self, digest: Hex32) -> bytes | None:
        """Return the acknowledgement that a receipt got, if it is known."""
        with self._lock:
            row = self._db.execute(
                "SELECT acknowledgement FROM receipts WHERE digest = ?", (digest,)
            ).fetchone()
        return bytes(row[0]) if row else None

    def add_receipt(
        self,
        signed: SignedReceipt,
        content: bytes,
        acknowledgement: bytes,
        now: int,
        rounds: Sequence[Round],
    ) -> None:
        """Store a receipt with the rounds that it changed, its own round last."""
        receipt, node = signed.receipt, signed.delegation.node
        ids = (receipt.digest(), receipt.job, receipt.dt, node)
        with self._transaction() as db:
            db.execute(
                "INSERT INTO receipts (digest, job, dt, node, round, received, content, "
                "acknowledgement) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
                (*ids, rounds[-1].id, now, content, acknowledgement),
            )
            _put_rounds(db, receipt.job, rounds)

    def put_rounds(self, job: Hex32, rounds: Iterable[Round]) -> None:
        """Store changed rounds."""
        with self._transaction() as db:
            _put_rounds(db, job, rounds)

    def waiting_of(self, job: Hex32, dt: Hex32) -> int:
        """Return how many receipts of a DT no document holds yet."""
        rows = self._rows(
            "SELECT count(*) FROM receipts WHERE job = ? AND dt = ? AND document IS NULL", job, dt
        )
        return int(str(rows[0][0]))

    def waiting_receipts(self, job: Hex32) -> list[Waiting]:
        """Return the receipts that no document holds yet, in order of arrival."""
        return self._waiting(
            "SELECT id, received, round, content FROM receipts "
            "WHERE job = ? AND document IS NULL ORDER BY id",
            job,
        )

    def is_reporter(self, job: Hex32, node: Address) -> bool:
        """Tell whether a node has reported in a job."""
        return bool(
            self._rows("SELECT 1 FROM receipts WHERE job = ? AND node = ? LIMIT 1", job, node)
        )

    # What servers named

    def add_named(self, job: Hex32, content: bytes, now: int) -> None:
        """Store what a server says of a round; repeating it changes nothing."""
        with self._transaction() as db:
            db.execute(
                "INSERT INTO named (job, received, content) SELECT ?, ?, ? WHERE NOT EXISTS "
                "(SELECT 1 FROM named WHERE job = ? AND content = ? AND document IS NULL)",
                (job, now, content, job, content),
            )

    def waiting_named(self, job: Hex32) -> list[Waiting]:
        """Return what servers named and no document holds yet, in order of arrival."""
        return self._waiting(
            "SELECT id, received, 0, content FROM named "
            "WHERE job = ? AND document IS NULL ORDER BY id",
            job,
        )

    def _waiting(self, query: str, job: Hex32) -> list[Waiting]:
        with self._lock:
            return [Waiting(*row) for row in self._db.execute(query, (job,)).fetchall()]

    # Documents

    def tip(self, job: Hex32) -> tuple[int, str]:
        """Return number and head of the newest document, mined or not."""
        with self._lock:
            row = self._db.execute(
                "SELECT number, head FROM documents WHERE job = ? ORDER BY number DESC LIMIT 1",
                (job,),
            ).fetchone()
        return (int(row[0]), str(row[1])) if row else (0, ZERO_HEAD)

    def add_document(
        self,
        document: RoundDocument,
        content: bytes,
        receipts: Iterable[int],
        named: Iterable[int],
        logged: Sequence[Round],
    ) -> Pending:
        """Store a document, what it holds, and its round's new phase."""
        job, number = document.job, document.number
        digest, head = document.digest(), document.head()
        with self._transaction() as db:
            db.execute(
                "INSERT INTO documents (job, number, head, digest, previous, content) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                (job, number, head, digest, document.previous, content),
            )
            held = "SET document = ? WHERE id = ?"
            db.executemany(f"UPDATE receipts {held}", [(number, i) for i in receipts])
            db.executemany(f"UPDATE named {held}", [(number, i) for i in named])
            _put_rounds(db, job, logged)
        return Pending(job, number, document.previous, head, digest)

    def pending(self) -> list[Pending]:
        """Return the documents whose transactions are not known to be mined."""
        with self._lock:
            rows = self._db.execute(
                "SELECT job, number, previous, head, digest FROM documents "
                "WHERE tx IS NULL ORDER BY rowid"
            ).fetchall()
        return [Pending(*row) for row in rows]

    def confirm(self, pending: Pending, tx: str, block: int, gas: int) -> None:
        """Note the transaction that logged a document."""
        with self._transaction() as db:
            db.execute(
                "UPDATE documents SET tx = ?, block = ?, gas = ? WHERE job = ? AND number = ?",
                (tx, block, gas, pending.job, pending.number),
            )

    def documents(self, job: Hex32, since: int, most: int) -> list[bytes]:
        """Return stored documents after number `since`, at most `most`."""
        with self._lock:
            rows = self._db.execute(
                "SELECT content FROM documents WHERE job = ? AND number > ? "
                "ORDER BY number LIMIT ?",
                (job, since, most),
            ).fetchall()
        return [bytes(content) for (content,) in rows]

    def document_of(self, job: Hex32, receipt: Hex32) -> bytes | None:
        """Return the document that holds a receipt, if there is one."""
        with self._lock:
            row = self._db.execute(
                "SELECT d.content FROM receipts r JOIN documents d "
                "ON d.job = r.job AND d.number = r.document WHERE r.digest = ? AND r.job = ?",
                (receipt, job),
            ).fetchone()
        return bytes(row[0]) if row else None

    def active_jobs(self) -> list[Hex32]:
        """Return every job that has something for a document to come."""
        with self._lock:
            rows = self._db.execute(
                "SELECT job FROM rounds WHERE phase != 'logged' "
                "UNION SELECT job FROM receipts WHERE document IS NULL "
                "UNION SELECT job FROM named WHERE document IS NULL"
            ).fetchall()
        return [str(job) for (job,) in rows]

    def totals(self) -> dict[str, int]:
        """Return the sizes of the tables, for the metrics."""
        queries = {
            "receipts": "SELECT count(*) FROM receipts",
            "receipts_waiting": "SELECT count(*) FROM receipts WHERE document IS NULL",
            "rounds_open": "SELECT count(*) FROM rounds WHERE phase != 'logged'",
            "documents": "SELECT count(*) FROM documents",
            "documents_pending": "SELECT count(*) FROM documents WHERE tx IS NULL",
            "gas_used": "SELECT coalesce(sum(gas), 0) FROM documents",
        }
        return {name: int(str(self._rows(query)[0][0])) for name, query in queries.items()}


def _put_rounds(db: sqlite3.Connection, job: Hex32, rounds: Iterable[Round]) -> None:
    db.executemany(
        "INSERT INTO rounds VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE "
        "SET phase = excluded.phase, closing = excluded.closing",
        [
            (
                job,
                found.id,
                found.key.model_dump_json(),
                found.opened_at,
                found.phase.value,
                found.closing.value if found.closing else None,
            )
            for found in rounds
        ],
    )
