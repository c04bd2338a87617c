"""Compute requests that a composite's owner has announced: each starts one run, for ever."""

import sqlite3
from pathlib import Path

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.errors import LocalEnvironmentError
from datatoken.types import Hex32

SCHEMA = """CREATE TABLE IF NOT EXISTS requests (
    nonce TEXT NOT NULL, composite TEXT NOT NULL, digest TEXT NOT NULL,
    announced INTEGER NOT NULL, PRIMARY KEY (nonce, composite))"""


class NonceStore:
    """Nonces seen, in an SQLite file of the composite's owner.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, isolation_level=None)
            self._db.execute("PRAGMA synchronous=FULL")
            self._db.execute(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(
                f"The state file {path} can't be written: {error}.",
                "Give a folder that this account may write to.",
            ) from None

    def claim(self, request: SignedRequest, composite: Hex32) -> None:
        """Take a nonce for this very request, before it is announced.

        Repeating an announcement that did not reach the chain is allowed; announcing the same
        request a second time is not.

        Raises
        ------
        Refused
            REQUEST_REPLAYED
        """
        key = (request.nonce_key(), composite)
        self._db.execute(
            "INSERT OR IGNORE INTO requests VALUES (?, ?, ?, 0)", (*key, request.digest())
        )
        digest, announced = self._db.execute(
            "SELECT digest, announced FROM requests WHERE nonce = ? AND composite = ?", key
        ).fetchone()
        if announced or digest != request.digest():
            raise Refused(
                Reason.REQUEST_REPLAYED,
                f"The nonce of request {request.digest()[:10]}… was used before.",
            )

    def announced(self, request: SignedRequest, composite: Hex32) -> None:
        """Note that the announcement is on the chain."""
        self._db.execute(
            "UPDATE requests SET announced = 1 WHERE nonce = ? AND composite = ?",
            (request.nonce_key(), composite),
        )

    def close(self) -> None:
        """Close the file."""
        self._db.close()
