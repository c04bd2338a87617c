"""The owner's own memory: what was seen, counted, pinned, receipted. SQLite on its own disk.

Counts survive restarts and span all jobs and runs. A write returns only once it is on disk:
a lease is counted before its message runs, a receipt is stored before its reply leaves.
"""

import fcntl
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.authorization.view import EdgeKey, History
from datatoken.errors import LocalEnvironmentError
from datatoken.types import Hex32, MessageKind

SCHEMA = """
CREATE TABLE IF NOT EXISTS seen (chain INTEGER PRIMARY KEY, block INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS counts (parent TEXT, child TEXT, epoch INTEGER, kind TEXT,
    count INTEGER NOT NULL, PRIMARY KEY (parent, child, epoch, kind));
CREATE TABLE IF NOT EXISTS pins (nonce TEXT PRIMARY KEY, run TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS receipts (digest TEXT PRIMARY KEY, job TEXT NOT NULL,
    content BLOB NOT NULL, acknowledgement BLOB);
CREATE INDEX IF NOT EXISTS receipts_by_job ON receipts (job);
"""


class HistoryStore:
    """Persistent history of one asset's gate.

    Parameters
    ----------
    path : Path
        SQLite file; its folder is made if it does not exist.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._guard = path.with_name(path.name + ".lock").open("w")
            fcntl.flock(self._guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise LocalEnvironmentError(
                f"The state file {path} is used by another gate.",
                "Stop it, or give each gate a state folder of its own.",
            ) from None
        except OSError as error:
            raise _unwritable(path, error) from None
        try:
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            self._guard.close()
            raise _unwritable(path, error) from None

    def close(self) -> None:
        """Close the file, and let another gate have it."""
        self._db.close()
        self._guard.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:  # else no later one could begin
                    self._db.execute("ROLLBACK")
                raise

    def view(self, job: Hex32, request: SignedRequest | None, chain_id: int) -> History:
        """Return the history that a decision about `job` may look at."""
        with self._lock:
            (block,) = self._db.execute(
                "SELECT block FROM seen WHERE chain = ?", (chain_id,)
            ).fetchone() or (0,)
            counts: dict[EdgeKey, int] = {
                (parent, child, epoch, MessageKind(kind)): count
                for parent, child, epoch, kind, count in self._db.execute(
                    "SELECT parent, child, epoch, kind, count FROM counts"
                )
            }
            rows = self._db.execute(
                "SELECT digest, acknowledgement IS NOT NULL FROM receipts WHERE job = ?", (job,)
            ).fetchall()
            return History(
                last_block=block,
                counts=counts,
                pinned_run=self.pinned(request) if request is not None else None,
                receipts=frozenset(digest for digest, _ in rows),
                acknowledged=frozenset(digest for digest, known in rows if known),
            )

    def pinned(self, request: SignedRequest) -> str | None:
        """Return the run that this request's nonce has started, if any."""
        with self._lock:
            row = self._db.execute(
                "SELECT run FROM pins WHERE nonce = ?", (request.nonce_key(),)
            ).fetchone()
            return row[0] if row else None

    def commit(
        self,
        edges: tuple[EdgeKey, ...],
        request: SignedRequest,
        run: str,
        chain_id: int,
        block: int,
    ) -> None:
        """Count one message under `edges` and pin `run` to its request, in one transaction.

        Raises
        ------
        Refused
            REQUEST_REPLAYED when the nonce has started another run meanwhile.
        """
        with self._transaction() as db:
            db.execute("INSERT OR IGNORE INTO pins VALUES (?, ?)", (request.nonce_key(), run))
            pinned = self.pinned(request)
            if pinned != run:
                raise Refused(
                    Reason.REQUEST_REPLAYED, "The compute request has started another run."
                )
            db.executemany(
                "INSERT INTO counts VALUES (?, ?, ?, ?, 1) "
                "ON CONFLICT DO UPDATE SET count = count + 1",
                [(parent, child, epoch, kind.value) for parent, child, epoch, kind in edges],
            )
            _see(db, chain_id, block)

    def see(self, chain_id: int, block: int) -> None:
        """Remember a block that a decision has looked at, whatever it decided."""
        with self._transaction() as db:
            _see(db, chain_id, block)

    def add_receipt(self, digest: Hex32, job: Hex32, content: bytes) -> None:
        """Store a signed receipt (its JCS bytes); on return it is on disk."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO receipts (digest, job, content) VALUES (?, ?, ?)",
                (digest, job, content),
            )

    def acknowledge(self, digest: Hex32, content: bytes) -> None:
        """Store the recorder's acknowledgement (its JCS bytes) of a receipt."""
        with self._transaction() as db:
            db.execute(
                "UPDATE receipts SET acknowledgement = ? WHERE digest = ?", (content, digest)
            )

    def totals(self) -> dict[str, int]:
        """Return counts for the metrics."""
        with self._lock:
            waiting, all_ = self._db.execute(
                "SELECT count(*) FILTER (WHERE acknowledgement IS NULL), count(*) FROM receipts"
            ).fetchone()
            return {"receipts_waiting": waiting, "receipts_acknowledged": all_ - waiting}

    def outbox(self) -> list[tuple[Hex32, bytes]]:
        """Return (digest, content) of receipts without an acknowledgement, oldest first."""
        with self._lock:
            return self._db.execute(
                "SELECT digest, content FROM receipts WHERE acknowledgement IS NULL ORDER BY rowid"
            ).fetchall()


def _see(db: sqlite3.Connection, chain_id: int, block: int) -> None:
    db.execute(
        "INSERT INTO seen VALUES (?, ?) ON CONFLICT DO UPDATE "
        "SET block = max(block, excluded.block)",
        (chain_id, block),
    )


def _unwritable(path: Path, error: Exception) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"The state file {path} can't be written: {error}.",
        "Give a folder that this account may write to.",
    )
