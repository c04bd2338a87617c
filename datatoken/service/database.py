"""A service's SQLite file: every write is on disk when it returns (synchronous=FULL)."""

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatoken.errors import LocalEnvironmentError
from datatoken.types import Address

NONCES = """
CREATE TABLE IF NOT EXISTS nonces (
    account TEXT NOT NULL, nonce TEXT NOT NULL, until INTEGER NOT NULL,
    PRIMARY KEY (account, nonce));
CREATE INDEX IF NOT EXISTS nonces_by_until ON nonces (until);
"""


class Database:
    """One connection, one lock; keeps the nonces of signed requests, too.

    Parameters
    ----------
    path : Path
        Made when missing.
    schema : str
        Statements that create what is not there yet.
    name : str
        What the file is, for people.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be written.
    """

    def __init__(self, path: Path, schema: str, name: str) -> None:
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode = WAL")
            self._db.execute("PRAGMA synchronous = FULL")
            self._db.executescript(schema + NONCES)
            path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(
                f"The {name} {path} can't be written: {error}.",
                "Give a folder that this account may write to.",
            ) from None

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

    def _rows(self, query: str, *arguments: object) -> list[tuple[Any, ...]]:
        with self._lock:
            return self._db.execute(query, arguments).fetchall()

    def spend(self, account: Address, nonce: str, until: int, *, now: int) -> bool:
        """Keep a nonce until it could no longer be used; return whether it is new."""
        with self._transaction() as db:
            db.execute("DELETE FROM nonces WHERE until < ?", (now,))
            done = db.execute(
                "INSERT OR IGNORE INTO nonces VALUES (?, ?, ?)", (account, nonce, until)
            )
            return done.rowcount == 1

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._db.close()
