"""What an asset service keeps on disk: nonces, authorization requests, runs."""

import sqlite3
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TypeVar

from datatoken.authorization.reasons import Reason
from datatoken.service.assets.executor import Run, Status
from datatoken.service.assets.models import Authorization, AuthorizationState, RunState
from datatoken.service.assets.policy import Queue
from datatoken.service.database import Database
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address, Hex32, Model, Seconds

_SCHEMA = """
CREATE TABLE IF NOT EXISTS authorizations (
    id TEXT PRIMARY KEY, child TEXT NOT NULL, parent TEXT NOT NULL, requester TEXT NOT NULL,
    state TEXT NOT NULL, open INTEGER NOT NULL, content TEXT NOT NULL);
CREATE UNIQUE INDEX IF NOT EXISTS authorizations_open
    ON authorizations (child, parent) WHERE open = 1;
CREATE INDEX IF NOT EXISTS authorizations_by_requester ON authorizations (requester);
CREATE TABLE IF NOT EXISTS runs (
    run TEXT NOT NULL, asset TEXT NOT NULL, requester TEXT NOT NULL, nonce TEXT NOT NULL,
    state TEXT NOT NULL, active INTEGER NOT NULL, content TEXT NOT NULL,
    PRIMARY KEY (run, asset), UNIQUE (nonce, asset));
CREATE UNIQUE INDEX IF NOT EXISTS runs_active ON runs (asset) WHERE active = 1;
"""
MAX_KEPT = 10_000
"""Requests that are kept when they are decided. Runs are kept for ever: so are their nonces."""
PAGE = 200
_REASONS = frozenset({"NONE", *(reason.value for reason in Reason)})
M = TypeVar("M", bound=Model)


class RunRecord(Model):
    """One asset's part of a run, as the service knows it."""

    run: Run
    requester: Address
    nonce: Hex32
    readers: frozenset[Address]
    status: Status
    started: Seconds
    ended: Seconds = 0

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.ended == 0

    def changed(self, status: Status, now: int) -> "RunRecord":
        """Return it with a new status; a final one ends it."""
        end = max(1, now) if status.state.final else 0
        return self.model_copy(update={"status": status, "ended": end})


class AssetBook(Database):
    """The service's SQLite file.

    Parameters
    ----------
    path : Path

    Raises
    ------
    LocalEnvironmentError
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA, "service's state file")

    # Authorization requests

    def queue(self, requester: Address) -> Queue:
        """Return how many requests wait."""
        rows = self._rows(
            "SELECT requester = ?, count(*) FROM authorizations WHERE open = 1 GROUP BY 1",
            requester,
        )
        counts = {bool(own): int(count) for own, count in rows}
        return Queue(sum(counts.values()), counts.get(True, 0))

    def add_authorization(self, asked: Authorization) -> Authorization:
        """Store a request; return the open one of the same pair instead, where there is one."""
        with self._transaction() as db:
            if (found := self.open_authorization(asked.child, asked.parent)) is not None:
                return found
            _put(db, asked)
            db.execute(
                "DELETE FROM authorizations WHERE open = 0 AND rowid <= "
                "(SELECT max(rowid) FROM authorizations) - ?",
                (MAX_KEPT,),
            )
        return asked

    def open_authorization(self, child: Hex32, parent: Hex32) -> Authorization | None:
        """Return the open request of a pair."""
        rows = self._rows(
            "SELECT content FROM authorizations WHERE child = ? AND parent = ? AND open = 1",
            child,
            parent,
        )
        return _all(Authorization, rows)[0] if rows else None

    def authorization(self, id_: str) -> Authorization:
        """Return a request; raise `ServiceError`."""
        rows = self._rows("SELECT content FROM authorizations WHERE id = ?", id_)
        if not rows:
            raise ServiceError(
                ServiceCode.AUTHORIZATION_UNKNOWN, "There is no such authorization request."
            )
        return _all(Authorization, rows)[0]

    def authorizations(
        self, requester: Address, children: Collection[Hex32] = ()
    ) -> list[Authorization]:
        """Return a requester's requests and those for some children, the newest first."""
        found: dict[int, Authorization] = {}
        for where, value in [("requester", requester), *(("child", child) for child in children)]:
            query = {
                "requester": "SELECT rowid, content FROM authorizations WHERE requester = ? "
                "ORDER BY rowid DESC LIMIT ?",
                "child": "SELECT rowid, content FROM authorizations WHERE child = ? "
                "ORDER BY rowid DESC LIMIT ?",
            }[where]
            for row, content in self._rows(query, value, PAGE):
                found[int(row)] = Authorization.model_validate_json(content)
        return [found[row] for row in sorted(found, reverse=True)][:PAGE]

    def approved(self) -> list[Authorization]:
        """Return the requests whose grant is to be sent, the oldest first."""
        rows = self._rows(
            "SELECT content FROM authorizations WHERE state = ? ORDER BY rowid",
            AuthorizationState.APPROVED.value,
        )
        return _all(Authorization, rows)

    def decide(
        self, changed: Authorization, *, only: Sequence[AuthorizationState]
    ) -> Authorization:
        """Store a decision; raise `ServiceError` when another one was made meanwhile."""
        with self._transaction() as db:
            row = db.execute(
                "SELECT state FROM authorizations WHERE id = ?", (changed.id,)
            ).fetchone()
            if row is None or AuthorizationState(row[0]) not in only:
                raise ServiceError(
                    ServiceCode.AUTHORIZATION_DECIDED, "The request was decided before."
                )
            _put(db, changed)
        return changed

    # Runs

    def add_runs(self, records: Sequence[RunRecord]) -> None:
        """Store runs before they are started: all of them or none.

        Raises
        ------
        ServiceError
            ASSET_BUSY when one of the assets is in another run.
        sqlite3.IntegrityError
            When the request's nonce has started a run before.
        """
        with self._transaction() as db:
            for record in records:
                self.check_free(record.run.asset)
                _put_run(db, record, insert=True)

    def check_free(self, asset: Hex32) -> None:
        """Raise `ServiceError` ASSET_BUSY when an asset is in a run."""
        if self._rows("SELECT 1 FROM runs WHERE asset = ? AND active = 1", asset):
            raise ServiceError(ServiceCode.ASSET_BUSY, f"DT {asset[:10]}… is in another run.")

    def update_run(self, record: RunRecord) -> None:
        """Store what a run has come to."""
        with self._transaction() as db:
            _put_run(db, record, insert=False)

    def runs(self, run: str) -> list[RunRecord]:
        """Return the parts of a run."""
        return _all(RunRecord, self._rows("SELECT content FROM runs WHERE run = ?", run))

    def started_by(self, nonce: Hex32, asset: Hex32) -> bool:
        """Tell whether a request's nonce has started a run of an asset here."""
        query = "SELECT 1 FROM runs WHERE nonce = ? AND asset = ?"
        return bool(self._rows(query, nonce, asset))

    def active_runs(self) -> list[RunRecord]:
        """Return the runs that have not ended."""
        return _all(RunRecord, self._rows("SELECT content FROM runs WHERE active = 1"))

    def recent_runs(self, requester: Address | None) -> list[RunRecord]:
        """Return a requester's newest runs, or everybody's."""
        rows = self._rows(
            "SELECT content FROM runs WHERE ? IS NULL OR requester = ? ORDER BY rowid DESC LIMIT ?",
            requester,
            requester,
            PAGE,
        )
        return _all(RunRecord, rows)

    def totals(self) -> dict[str, int]:
        """Return counts for the metrics."""
        found = {f"authorizations_{state.value}": 0 for state in AuthorizationState}
        found |= {f"runs_{state.value}": 0 for state in RunState}
        for state, count in self._rows("SELECT state, count(*) FROM authorizations GROUP BY state"):
            found[f"authorizations_{state}"] = int(count)
        for state, count in self._rows("SELECT state, count(*) FROM runs GROUP BY state"):
            found[f"runs_{state}"] = int(count)
        stages = (
            "json_extract(content, '$.status.stage')",
            "json_extract(content, '$.status.stages')",
        )
        for name, stage in zip(("stages_done", "stages_planned"), stages, strict=True):
            [(count,)] = self._rows(f"SELECT total({stage}) FROM runs WHERE active = 1")  # noqa: S608
            found[name] = int(count)
        return found

    def ends(self) -> dict[tuple[str, str], int]:
        """Return how runs have ended, by state and reason; other words than reasons are `OTHER`."""
        found: Counter[tuple[str, str]] = Counter()
        for state, reason, count in self._rows(
            "SELECT state, json_extract(content, '$.status.reason'), count(*) FROM runs "
            "WHERE active = 0 GROUP BY 1, 2"
        ):
            word = str(reason or "NONE")
            found[str(state), word if word in _REASONS else "OTHER"] += int(count)
        return dict(found)


def _all(model: type[M], rows: Sequence[tuple[str]]) -> list[M]:
    return [model.model_validate_json(content) for (content,) in rows]


def _put(db: sqlite3.Connection, one: Authorization) -> None:
    is_open = one.state in (AuthorizationState.QUEUED, AuthorizationState.APPROVED)
    content = one.model_dump_json()
    db.execute(
        "INSERT INTO authorizations VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
        "state = excluded.state, open = excluded.open, content = excluded.content",
        (one.id, one.child, one.parent, one.requester, one.state.value, is_open, content),
    )


def _put_run(db: sqlite3.Connection, record: RunRecord, *, insert: bool) -> None:
    run, state, content = record.run, record.status.state.value, record.model_dump_json()
    if insert:
        db.execute(
            "INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run.id, run.asset, record.requester, record.nonce, state, record.active, content),
        )
    else:
        db.execute(
            "UPDATE runs SET state = ?, active = ?, content = ? WHERE run = ? AND asset = ?",
            (state, record.active, content, run.id, run.asset),
        )
