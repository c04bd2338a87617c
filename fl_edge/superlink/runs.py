"""What the SuperLink's owner knows of the runs that it admitted; on disk, so that it survives."""

import sqlite3
import threading
from pathlib import Path

from pydantic import Field

from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.errors import LocalEnvironmentError
from datatoken.types import Hex32, Model, Scalar

MAX_ADMISSION = 256 * 1024
SCHEMA = "CREATE TABLE IF NOT EXISTS runs (run TEXT PRIMARY KEY, content BLOB NOT NULL)"


class Admission(Model):
    """A run that was admitted: what it runs, for which job, under which terms.

    Attributes
    ----------
    bundle : Hex32
        sha256 of the server-side operation's bundle; `artefact` of the whole FAB.
    parameters : dict
        The effective run configuration.
    minimum : int
        How many of the composite's members have to take part in a round.
    resume : bool
        Whether the run goes on from the job's last logged aggregate.
    """

    job: Hex32
    request: Hex32
    bundle: Hex32
    artefact: Hex32
    parameters: dict[str, Scalar]
    minimum: int = Field(ge=0)
    resume: bool = False


class RunBook:
    """Admissions by run id.

    Parameters
    ----------
    path : Path
        SQLite file.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._lock = threading.Lock()
        self._known: dict[int, Admission] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
            self._db.execute("PRAGMA journal_mode=WAL")
            self._db.execute(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(
                f"The run book {path} can't be written: {error}.",
                "Give a folder that this account may write to.",
            ) from None

    def add(self, run: int, admission: Admission) -> None:
        """Keep the admission of a new run."""
        with self._lock:
            row = (str(run), canonical_bytes(admission))
            self._db.execute("INSERT OR REPLACE INTO runs VALUES (?, ?)", row)
            self._known[run] = admission

    def get(self, run: int) -> Admission | None:
        """Return the admission of a run, or None."""
        with self._lock:
            if run not in self._known:
                query = "SELECT content FROM runs WHERE run = ?"
                row = self._db.execute(query, (str(run),)).fetchone()
                if row is None:
                    return None
                self._known[run] = parse_document(Admission, row[0], "run book", MAX_ADMISSION)
            return self._known[run]

    def close(self) -> None:
        """Close the file."""
        self._db.close()
