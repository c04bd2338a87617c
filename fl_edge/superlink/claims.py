"""Takes what ServerApps claim of rounds, keeps the aggregates, and tells the recorder.

A thread of its own, so that no message waits for the recorder. A claim stays on disk until the
recorder has taken it; what the SuperLink counts itself is told again with the next change.
"""

import queue
import sqlite3
import threading
from collections.abc import Callable, Mapping
from enum import Enum
from pathlib import Path
from typing import Protocol

import structlog

from datatoken.errors import DataTokenError, LocalEnvironmentError
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Hex32, MessageKind
from fl_edge.strategy.spool import (
    AggregateFile,
    Claim,
    RunTerms,
    Spool,
    arrays_from_npz,
)
from fl_edge.superlink.runs import Admission, RunBook
from fl_edge.superlink.watch import Named

log = structlog.get_logger(__name__)
SCHEMA = """
CREATE TABLE IF NOT EXISTS aggregates (id INTEGER PRIMARY KEY, job TEXT NOT NULL,
    run TEXT NOT NULL, round INTEGER NOT NULL, digest TEXT NOT NULL, path TEXT NOT NULL);
"""
PAUSE, RETRY_AFTER, RETRY_AT_MOST = 0.3, 2.0, 30.0
PASSING = (ServiceCode.UPSTREAM, ServiceCode.TOO_MANY, ServiceCode.INTERNAL)


class Told(Enum):
    """What became of something that a recorder was told."""

    TAKEN = "taken"
    LATER = "later"
    """The recorder is out of reach, or busy."""
    NEVER = "never"
    """The recorder refuses it, and will again."""


class Recorder(Protocol):
    """What is told to a recorder (`datatoken.service.client.RecorderClient`)."""

    def name_round(
        self,
        job: Hex32,
        *,
        run: str,
        kind: MessageKind,
        input_digest: Hex32,
        expected: int | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Tell who is expected in a round, and what is claimed of it."""
        ...


class Aggregates:
    """The aggregates that the recorder was told of, by job.

    Parameters
    ----------
    folder : Path
        Where the files are; made if it does not exist.

    Raises
    ------
    LocalEnvironmentError
        When the folder cannot be written.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._lock = folder, threading.Lock()
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(
                folder / "index.sqlite", check_same_thread=False, isolation_level=None
            )
            self._db.executescript(SCHEMA)
        except (OSError, sqlite3.Error) as error:
            raise LocalEnvironmentError(f"The folder {folder} can't be written: {error}.") from None

    def keep(self, job: Hex32, run: int, claim: Claim, content: bytes) -> None:
        """Keep an aggregate; its digest was checked and the recorder has taken the claim."""
        assert claim.digest is not None
        path = self._folder / f"{claim.digest[2:]}.npz"
        if not path.exists():
            partial = path.with_suffix(".part")
            partial.write_bytes(content)
            partial.replace(path)
        with self._lock:
            self._db.execute(
                "INSERT INTO aggregates (job, run, round, digest, path) VALUES (?, ?, ?, ?, ?)",
                (job, str(run), claim.round, claim.digest, str(path)),
            )

    def last(self, job: Hex32) -> AggregateFile | None:
        """Return the furthest aggregate of the job's newest run that has one.

        Not of the furthest run: a shorter run after a longer one goes on from its own rounds.
        """
        with self._lock:
            row = self._db.execute(
                "SELECT path, digest, round FROM aggregates WHERE job = ? AND run = "
                "(SELECT run FROM aggregates WHERE job = ? ORDER BY id DESC LIMIT 1) "
                "ORDER BY round DESC, id DESC LIMIT 1",
                (job, job),
            ).fetchone()
        return AggregateFile(path=row[0], digest=row[1], round=row[2]) if row else None


class ClaimCourier:
    """Carries claims and counts to the recorders.

    Parameters
    ----------
    spool : Path
        Folder of the ServerApps.
    book : RunBook
    aggregates : Aggregates
    recorder_of : callable
        Returns the recorder of a job.
    """

    def __init__(
        self,
        spool: Path,
        book: RunBook,
        aggregates: Aggregates,
        recorder_of: Callable[[Hex32], Recorder],
    ) -> None:
        self.spool, self.book, self.aggregates = spool, book, aggregates
        self._recorder_of = recorder_of
        self._names: queue.SimpleQueue[Named] = queue.SimpleQueue()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name="claims", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Carry what waits once more, then end the thread."""
        self._stop.set()
        self._thread.join(timeout=10)

    def name(self, named: Named) -> None:
        """Tell a recorder how many receipts to expect; returns at once."""
        self._names.put(named)

    def totals(self) -> dict[str, int]:
        """Return counts for the metrics."""
        claims = sum(1 for _ in self.spool.glob("[0-9]*/claim-[0-9]*.json"))
        return {"claims_waiting": claims + self._names.qsize()}

    def begin(self, run: int, admission: Admission) -> None:
        """Write a new run's terms for its ServerApp; before it can start."""
        start = self.aggregates.last(admission.job) if admission.resume else None
        terms = RunTerms(job=admission.job, minimum=admission.minimum, start=start)
        Spool(self.spool, run).put_terms(terms)

    def carry(self) -> bool:
        """Carry all that waits; return whether all of it was taken."""
        latest: dict[tuple[int, MessageKind, Hex32], Named] = {}
        while not self._names.empty():
            named = self._names.get()
            latest[(named.run, named.kind, named.input)] = named
        done = [self._carry_name(named) for named in latest.values()]
        for folder in sorted(self.spool.glob("[0-9]*")):
            run = int(folder.name)
            done += [self._carry_claim(run, *one) for one in Spool(self.spool, run).claims()]
        return all(done)

    def _work(self) -> None:
        pause = RETRY_AFTER
        while not self._stop.wait(PAUSE):
            if self.carry():
                pause = RETRY_AFTER
            else:
                self._stop.wait(pause)
                pause = min(pause * 2, RETRY_AT_MOST)
        self.carry()

    def _carry_name(self, named: Named) -> bool:
        admission = self.book.get(named.run)
        if admission is None:
            return True
        told = self._tell(
            admission.job, str(named.run), named.kind, named.input, named.expected, {}
        )
        if told is Told.LATER:
            self._names.put(named)
        return told is not Told.LATER

    def _carry_claim(self, run: int, path: Path, claim: Claim) -> bool:
        admission = self.book.get(run)
        if admission is None:
            path.unlink(missing_ok=True)
            return True
        content, annotations = b"", {"round": str(claim.round)}
        annotations["contributed"] = f"{claim.expected} of {claim.sent}"
        if claim.aggregate is not None and claim.digest is not None:
            try:
                content = (path.parent / claim.aggregate).read_bytes()
                arrays_from_npz(content, claim.digest)
            except (OSError, DataTokenError) as error:
                log.warning("claim left out", job=admission.job, run=run, why=str(error))
                path.unlink(missing_ok=True)
                return True
            annotations["aggregate"] = claim.digest
        told = self._tell(
            admission.job, str(run), claim.kind, claim.input, claim.expected, annotations
        )
        if told is Told.LATER:
            return False
        if told is Told.TAKEN and content:
            self.aggregates.keep(admission.job, run, claim, content)
            (path.parent / str(claim.aggregate)).unlink(missing_ok=True)
        path.unlink(missing_ok=True)
        return True

    def _tell(
        self,
        job: Hex32,
        run: str,
        kind: MessageKind,
        digest: Hex32,
        expected: int,
        annotations: dict[str, str],
    ) -> Told:
        try:
            self._recorder_of(job).name_round(
                job,
                run=run,
                kind=kind,
                input_digest=digest,
                expected=expected,
                annotations=annotations,
            )
        except DataTokenError as error:
            log.warning("recorder not told of a round", job=job, run=run, why=str(error))
            refused = isinstance(error, ServiceError) and error.service_code not in PASSING
            return Told.NEVER if refused else Told.LATER
        return Told.TAKEN
