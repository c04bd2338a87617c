"""The journal of signed transactions: on disk before they are sent, so that none is lost.

One SQLite file serves several processes and accounts. A row's `holder` is the process that
waits for it; once that process is gone, whoever repeats the command takes the row over.
"""

import contextlib
import fcntl
import os
import sqlite3
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from datatoken.errors import LocalEnvironmentError
from datatoken.types import Address, Hex32

ADOPT_SECONDS = 3600.0
"""How long a mined transaction, whose answer nobody got, answers a repeated command."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS transactions (
    id INTEGER PRIMARY KEY,
    chain TEXT NOT NULL, account TEXT NOT NULL, key TEXT, intent TEXT NOT NULL,
    label TEXT NOT NULL, nonce INTEGER NOT NULL, hash TEXT NOT NULL, raw BLOB NOT NULL,
    state TEXT NOT NULL, delivered INTEGER NOT NULL, holder TEXT NOT NULL, created REAL NOT NULL,
    UNIQUE (chain, hash)
);
CREATE UNIQUE INDEX IF NOT EXISTS one_per_key ON transactions (chain, account, key)
    WHERE key IS NOT NULL AND state IN ('signed', 'mined');
CREATE INDEX IF NOT EXISTS by_state ON transactions (chain, account, state);
"""
_COLUMNS = "id, key, intent, label, nonce, hash, raw, state, holder"


class State(StrEnum):
    """What became of a signed transaction."""

    SIGNED = "signed"
    MINED = "mined"
    REVERTED = "reverted"
    DROPPED = "dropped"
    """Refused when it was sent; who has its bytes may still bring it in."""
    REPLACED = "replaced"
    """Another transaction has its nonce: it can't be mined any more."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One signed transaction."""

    id: int
    key: str | None
    intent: Hex32
    label: str
    nonce: int
    hash: Hex32
    raw: bytes
    state: State
    holder: str


def _started(pid: int) -> str:
    """Return when a process started, where the system says so: pids are used again."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        return stat.rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""


class Journal:
    """Transactions of one account on one chain.

    Parameters
    ----------
    path : Path
        SQLite file; made when missing.
    account : Address
        The account.
    """

    _instances: set[str] = set()

    def __init__(self, path: Path, account: Address) -> None:
        self.path = path
        self.account = account
        self.chain = ""
        pid = os.getpid()
        self.holder = f"{pid}:{_started(pid)}:{os.urandom(8).hex()}"
        self._guard = threading.RLock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")
            self._database.executescript(_SCHEMA)
            path.chmod(0o600)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(
                f"The transaction journal {path} cannot be opened: {error}.",
                "Is its folder writable?",
            ) from error
        self._instances.add(self.holder)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the account's lock, across threads and processes."""
        name = self.path.with_name(f"{self.path.name}.{self.account}.lock")
        with self._guard, name.open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                fcntl.flock(file, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def _readable(self) -> Iterator[None]:
        """Say in a sentence what is wrong with the file."""
        try:
            yield
        except sqlite3.Error as error:
            raise LocalEnvironmentError(
                f"The transaction journal {self.path} cannot be used: {error}.",
                "Is there space left, and is its folder writable?",
            ) from error

    def _select(self, where: str, *arguments: object) -> list[Entry]:
        # `where` is one of this module's own constants; every value is a parameter.
        query = f"SELECT {_COLUMNS} FROM transactions WHERE chain = ? AND account = ? AND {where}"  # noqa: S608
        with self._guard, self._readable():
            rows = self._database.execute(query, (self.chain, self.account, *arguments)).fetchall()
        return [
            Entry(number, key, intent, label, nonce, tx_hash, raw, State(state), holder)
            for number, key, intent, label, nonce, tx_hash, raw, state, holder in rows
        ]

    def _update(self, columns: str, *arguments: object) -> None:
        with self._guard, self._readable(), self._database:
            self._database.execute(f"UPDATE transactions SET {columns}", arguments)  # noqa: S608

    def attempts(self, intent: Hex32, key: str | None) -> list[Entry]:
        """Return the earlier attempts at a transaction that may be mined, refused ones last.

        With a key, all that were signed for it; without one, equal ones whose sender never got
        the answer.
        """
        if key is not None:
            return self._select(
                "key = ? AND state IN ('signed', 'mined', 'dropped') "
                "ORDER BY state = 'dropped', id",
                key,
            )
        found = self._select(
            "key IS NULL AND intent = ? AND delivered = 0 AND (state IN ('signed', 'dropped') "
            "OR (state = 'mined' AND created > ?)) ORDER BY state = 'dropped', id",
            intent,
            time.time() - ADOPT_SECONDS,
        )
        return [entry for entry in found if not self._held(entry)]

    def _held(self, entry: Entry) -> bool:
        """Tell whether a living sender waits for this transaction."""
        if not entry.holder:
            return False
        pid, started, _ = entry.holder.split(":")
        if int(pid) == os.getpid():
            return entry.holder in self._instances
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass
        return started == _started(int(pid))

    def unsettled(self) -> list[Entry]:
        """Return what was signed and is not known to be mined, by nonce."""
        return self._select("state = 'signed' ORDER BY nonce")

    def add(
        self,
        *,
        key: str | None,
        intent: Hex32,
        label: str,
        nonce: int,
        tx_hash: Hex32,
        raw: bytes,
    ) -> Entry:
        """Write a signed transaction to disk, before it is sent."""
        row = (self.chain, self.account, key, intent, label, nonce, tx_hash, raw)
        with self._guard, self._readable(), self._database:
            # Signing is deterministic: a rejected transaction may be signed again, byte by byte.
            self._database.execute(
                "DELETE FROM transactions WHERE chain = ? AND hash = ? "
                "AND state IN ('dropped', 'replaced')",
                (self.chain, tx_hash),
            )
            cursor = self._database.execute(
                "INSERT INTO transactions (chain, account, key, intent, label, nonce, hash, raw, "
                "state, delivered, holder, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'signed', 0, ?, ?)",
                (*row, self.holder, time.time()),
            )
        number = int(cursor.lastrowid or 0)
        return Entry(number, key, intent, label, nonce, tx_hash, raw, State.SIGNED, self.holder)

    def settle(self, entry: Entry, state: State) -> None:
        """Note what became of a transaction."""
        self._update("state = ? WHERE id = ?", state.value, entry.id)

    def exclude(self, mined: Entry) -> None:
        """Note that what was refused with a mined transaction's nonce can't be mined any more."""
        self._update(
            "state = 'replaced' "
            "WHERE chain = ? AND account = ? AND nonce = ? AND state = 'dropped' AND id != ?",
            self.chain,
            self.account,
            mined.nonce,
            mined.id,
        )

    def hold(self, entry: Entry) -> None:
        """Note that this sender waits for a transaction."""
        self._update("holder = ? WHERE id = ?", self.holder, entry.id)

    def release(self, entry: Entry) -> None:
        """Note that nobody waits for a transaction any more."""
        self._update("holder = '' WHERE id = ? AND holder = ?", entry.id, self.holder)

    def deliver(self, entry: Entry) -> None:
        """Note that the caller got the answer."""
        self._update("delivered = 1 WHERE id = ?", entry.id)

    def close(self) -> None:
        """Close the file."""
        self._instances.discard(self.holder)
        with self._guard:
            self._database.close()
