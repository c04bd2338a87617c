"""Where the parties of an MPC run leave word of where they are reached.

The recorder is the one service that all parties of a job know already, from documents that
each has verified. It is a courier only: introductions are signed by the parties' nodes, and
the parties verify them; what is inside is none of the recorder's business (ADR 0016).
"""

from pathlib import Path

from datatoken.ddo.canonical import canonical_bytes, parse_json
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.service.database import Database
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.recorder import Recorder
from datatoken.types import Address, Hex32

MAX_INTRODUCTION_BYTES = 16 * 1024
MAX_KEPT = 64
"""Introductions of one DT for one job that are kept; the oldest goes first."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS introductions (
    id INTEGER PRIMARY KEY, job TEXT NOT NULL, request TEXT NOT NULL, dt TEXT NOT NULL,
    content BLOB NOT NULL, UNIQUE (job, request, dt));
CREATE INDEX IF NOT EXISTS introductions_by_dt ON introductions (job, dt);
"""


class Introductions(Database):
    """Introductions on disk: the first one of a DT for a request stays. Thread-safe.

    Parameters
    ----------
    path : Path
        SQLite file; made when missing.

    Raises
    ------
    LocalEnvironmentError
        When the file can't be written.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(path, _SCHEMA, "introductions' file")

    def add(self, job: Hex32, request: Hex32, dt: Hex32, content: bytes) -> bytes:
        """Keep an introduction unless there is one; return the one that is kept."""
        with self._transaction() as db:
            db.execute(
                "INSERT OR IGNORE INTO introductions (job, request, dt, content) "
                "VALUES (?, ?, ?, ?)",
                (job, request, dt, content),
            )
            db.execute(
                "DELETE FROM introductions WHERE job = ? AND dt = ? AND id NOT IN (SELECT id "
                "FROM introductions WHERE job = ? AND dt = ? ORDER BY id DESC LIMIT ?)",
                (job, dt, job, dt, MAX_KEPT),
            )
        rows = self._rows(
            "SELECT content FROM introductions WHERE job = ? AND request = ? AND dt = ?",
            job,
            request,
            dt,
        )
        return bytes(rows[0][0])

    def of(self, job: Hex32, request: Hex32) -> list[bytes]:
        """Return the introductions for a request, in order of arrival."""
        query = "SELECT content FROM introductions WHERE job = ? AND request = ? ORDER BY id"
        return [bytes(content) for (content,) in self._rows(query, job, request)]


class Rendezvous:
    """Who may leave an introduction, and who may read them.

    Parameters
    ----------
    recorder : Recorder
        Knows the jobs and who takes part in them.
    kept : Introductions
    """

    def __init__(self, recorder: Recorder, kept: Introductions) -> None:
        self._recorder, self._kept = recorder, kept

    def introduce(
        self, job: Hex32, account: Address, delegation: Delegation | None, content: bytes
    ) -> None:
        """Take an introduction of the DT that `delegation` is for; `account` signed the call.

        Raises
        ------
        ServiceError
            NOT_ENTITLED, MALFORMED, or INTRODUCED_ALREADY.
        """
        dt = self._recorder.speaks_for(job, account, delegation)
        if dt is None:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "Only the node of a DT of the job introduces it."
            )
        request = _request_of(content, job, dt)
        if self._kept.add(job, request, dt, content) != content:
            raise ServiceError(
                ServiceCode.INTRODUCED_ALREADY,
                "The DT has introduced itself otherwise for this request.",
            )

    def introductions(
        self, job: Hex32, account: Address, delegation: Delegation | None, request: Hex32
    ) -> list[bytes]:
        """Return the introductions for a request; raise `ServiceError`."""
        self._recorder.check_entitled(job, account, delegation)
        return self._kept.of(job, request)


def _request_of(content: bytes, job: Hex32, dt: Hex32) -> Hex32:
    """Return the request that an introduction names; refuse what is for another job or DT."""
    try:
        plain = parse_json(content, "introduction", MAX_INTRODUCTION_BYTES)
        canonical = canonical_bytes(plain) == content
    except BadInputError as error:
        raise ServiceError(ServiceCode.MALFORMED, error.message) from None
    inner = plain.get("introduction") if isinstance(plain, dict) else None
    if not canonical or not isinstance(inner, dict):
        raise ServiceError(ServiceCode.MALFORMED, "It is no introduction in canonical JSON.")
    request = inner.get("request")
    if (inner.get("job"), inner.get("dt")) != (job, dt) or not _is_id(request):
        raise ServiceError(ServiceCode.MALFORMED, "The introduction is for another job or DT.")
    return str(request)


def _is_id(found: object) -> bool:
    digits = set("0123456789abcdef")
    return (
        isinstance(found, str)
        and len(found) == 66
        and found.startswith("0x")
        and set(found[2:]) <= digits
    )
