"""Runs: verified before anything is spawned, watched, found again after a restart.

The service asks each asset's gate without counting; the party that is spawned asks its own
and counts. So nothing that happens here can let run what the gate would refuse.
"""

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import HINTS, Reason, Refused, public_sentence
from datatoken.authorization.request import MAX_REQUEST_BYTES, SignedRequest, parse_request, run_id
from datatoken.errors import DataTokenError
from datatoken.roles.site import Site
from datatoken.service.assets.announcing import Announcer, allow
from datatoken.service.assets.book import AssetBook, RunRecord
from datatoken.service.assets.executor import Executor, Question, Run, Status
from datatoken.service.assets.hosted import Assets, Hosted
from datatoken.service.assets.loop import Loop
from datatoken.service.assets.models import JobAsk, JobRun, Party, RunState
from datatoken.service.assets.processes import GRACE, OUTPUT, PartyProcess
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import ZERO32, Address, Hex32

log = structlog.get_logger(__name__)
INTERVAL = 0.3
_OF_THE_OPERATION = frozenset({Reason.ENGINE_FAILED, Reason.APP_FAILED})
"""Reasons whose sentence may be the operation's own: it stays with the asset's owner."""


@dataclass
class _Kept:
    """What is remembered of a run between two looks."""

    process: PartyProcess
    deadline: float | None = field(default=None)
    """When its group is killed, after it was stopped or has said that it has ended."""
    stopped: bool = False


class RunDesk:
    """Starts, watches and stops the parties of the service's assets.

    Parameters
    ----------
    site : Site
    assets : Assets
    book : AssetBook
    executor : Executor
    folder : Path
        The service's own, for the processes' locks.
    announcer : Announcer
        For the composites among the assets.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(
        self,
        site: Site,
        assets: Assets,
        book: AssetBook,
        executor: Executor,
        folder: Path,
        announcer: Announcer,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._site, self._assets, self._book, self.executor = site, assets, book, executor
        self._folder, self._announcer, self._clock = folder, announcer, clock
        self._being_started: set[Hex32] = set()
        self._kept: dict[Run, _Kept] = {}
        self._lock = threading.RLock()
        self.loop = Loop("runs", self.step, INTERVAL)

    # Start

    def start(self, account: Address, asked: JobAsk) -> JobRun:
        """Verify a compute request at the gates of all assets that are meant; start them all.

        Repeating is safe while the run lasts; a request starts no second run.

        Raises
        ------
        ServiceError
            NOT_ENTITLED, ASSET_UNKNOWN, ASSET_BUSY.
        Refused
            With the gate's reason; nothing was spawned.
        """
        with as_refusals():
            signed = self._signed(account, asked)
        id_ = run_id(asked.request)
        known = {record.run.asset for record in self._book.runs(id_)}
        meant = [self._assets.get(dt) for dt in dict.fromkeys(asked.assets)]
        meant = meant or self._concerned(asked.job)
        new = [hosted for hosted in meant if hosted.dt not in known]
        if not new:
            return self._again(account, id_)
        nonce = signed.nonce_key()
        if any(self._book.started_by(nonce, hosted.dt) for hosted in new):
            raise _replayed(asked.request)
        parts = [
            (hosted, Run(id=id_, job=asked.job, request=asked.request, asset=hosted.dt))
            for hosted in new
        ]
        with self._starting(new):
            records = self._verified(account, parts, signed)
            with self._lock:  # nobody looks at a run that is stored and not spawned yet
                try:
                    self._book.add_runs(records)
                except sqlite3.IntegrityError:
                    raise _replayed(asked.request) from None
                for record in records:
                    self._spawn(record)
        self.loop.wake()
        return self.get(account, id_)

    def _signed(self, account: Address, asked: JobAsk) -> SignedRequest:
        """Return the compute request, signed by the account that calls, of the job's owner."""
        algorithm = self._site.reader.job(asked.job).algorithm
        if algorithm == ZERO32:
            raise Refused(Reason.JOB_UNKNOWN, f"Job {asked.job[:10]}… is not on the task market.")
        if self._site.documents.record(algorithm).owner != account:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "Only the owner of the job's algorithm starts it."
            )
        signed = parse_request(self._site.store.get(asked.request, MAX_REQUEST_BYTES))
        if signed.digest() != asked.request or signed.request.job != asked.job:
            raise Refused(Reason.REQUEST_MISMATCH, "The compute request is for another job.")
        if signed.signer() != account:
            raise Refused(
                Reason.REQUEST_SIGNATURE,
                "The compute request is not signed by the account that calls.",
            )
        return signed

    def _concerned(self, job: Hex32) -> list[Hosted]:
        """Return the assets that have a position in a job; raise `Refused` when none has."""
        found: list[Hosted] = []
        refusal: Refused | None = None
        for hosted in self._assets.hosted.values():
            try:
                hosted.gatekeeper.work(job)
            except Refused as refused:
                if refused.reason is not Reason.NOT_IN_JOB:
                    raise
                refusal = refused
            else:
                found.append(hosted)
        if not found:
            raise refusal or Refused(Reason.NOT_IN_JOB, "This service has no assets.")
        return found

    def _again(self, account: Address, id_: str) -> JobRun:
        records = self._book.runs(id_)
        # A party that has said its last word may take a moment to go.
        if all(record.status.state.final for record in records):
            raise _replayed(records[0].run.request)
        return self.get(account, id_)

    @contextlib.contextmanager
    def _starting(self, meant: Sequence[Hosted]) -> Iterator[None]:
        """Keep others from starting the same assets: two announcements would undo each other."""
        dts = {hosted.dt for hosted in meant}
        with self._lock:
            if busy := dts & self._being_started:
                raise ServiceError(
                    ServiceCode.ASSET_BUSY, f"DT {min(busy)[:10]}… is being started."
                )
            self._being_started |= dts
        try:
            yield
        finally:
            with self._lock:
                self._being_started -= dts

    def _verified(
        self, account: Address, parts: Sequence[tuple[Hosted, Run]], signed: SignedRequest
    ) -> list[RunRecord]:
        """Ask all gates, announce where one asks for it; return what is to be started.

        Nothing is announced before every gate would allow it.
        """
        questions = [self._question(hosted, run, signed) for hosted, run in parts]
        asked = [(*part, question) for part, question in zip(parts, questions, strict=True)]
        for hosted, run, question in asked:
            if question.announce:
                self._book.check_free(hosted.dt)  # it would end the run under way
            allow(hosted, run, question, rehearse=question.announce)
        for hosted, run, question in asked:
            if question.announce:
                self._announcer.announce(hosted, run, signed, question)
                allow(hosted, run, question)
        now = int(self._clock())
        return [
            RunRecord(
                run=run,
                requester=account,
                nonce=signed.nonce_key(),
                readers=question.readers,
                status=Status(state=RunState.STARTING),
                started=now,
            )
            for _, run, question in asked
        ]

    def _question(self, hosted: Hosted, run: Run, signed: SignedRequest) -> Question:
        with as_refusals():
            return self.executor.question(hosted.gatekeeper, run, signed)

    def _spawn(self, record: RunRecord) -> None:
        run = record.run
        kept = self._keep(run)
        try:
            kept.process.start(self.executor.command(run), self.executor.environment(run))
        except DataTokenError as error:
            status = Status(
                state=RunState.FAILED, reason=Reason.ENGINE_MISSING, sentence=error.message
            )
            self._book.update_run(record.changed(status, int(self._clock())))
            log.error("party not started", run=run.id, dt=run.asset, job=run.job, why=error.message)
        else:
            log.info("party started", run=run.id, dt=run.asset, job=run.job)

    def _keep(self, run: Run) -> _Kept:
        if run not in self._kept:
            folder = self._folder / run.id / run.asset[2:18]
            self._kept[run] = _Kept(PartyProcess(folder))
        return self._kept[run]

    # Watch

    def step(self) -> None:
        """Look at every run that has not ended, those of an earlier life of the service, too."""
        with self._lock:
            for record in self._book.active_runs():
                self._look(record)

    def _look(self, record: RunRecord) -> None:
        run, now = record.run, int(self._clock())
        kept = self._keep(run)
        alive = kept.process.alive()  # first: what it has said last is read afterwards
        said = self.executor.status(run)
        if alive:
            self._hurry(kept, ended=said is not None and said.state.final)
            if said is not None and said != record.status:
                update = {"status": said, "ended": 0}
                self._book.update_run(record.model_copy(update=update))
            return
        if said is None or not said.state.final:
            said = _died(said or record.status, kept)
        self._book.update_run(record.changed(said, now))
        self._kept.pop(run, None)
        log.info(
            "run ended", run=run.id, dt=run.asset, job=run.job, state=said.state, reason=said.reason
        )

    @staticmethod
    def _hurry(kept: _Kept, *, ended: bool) -> None:
        """Kill a group that outlives its end, or the order to stop, by `GRACE` seconds."""
        if kept.deadline is None and ended:
            kept.deadline = time.monotonic() + GRACE
        if kept.deadline is not None and time.monotonic() > kept.deadline:
            kept.process.kill()

    # For those who ask

    def get(self, account: Address, id_: str) -> JobRun:
        """Return a run to its requester, its readers and the assets' owners.

        Raises
        ------
        ServiceError
            RUN_UNKNOWN, also for an account that may not see it.
        """
        return self._shown(account, self._entitled(account, id_))

    def list(self, account: Address) -> list[JobRun]:
        """Return an account's runs, or all of them to an owner, the newest first."""
        mine = set(self._assets.owned_by(account))
        found: dict[str, list[RunRecord]] = {}
        for record in self._book.recent_runs(None if mine else account):
            if record.run.asset in mine or record.requester == account:
                found.setdefault(record.run.id, []).append(record)
        return [self._shown(account, records) for records in found.values()]

    def part(self, account: Address, id_: str, asset: Hex32 | None) -> RunRecord:
        """Return one asset's part of a run; it need not be named where there is one only."""
        records = self._entitled(account, id_)
        found = [one for one in records if asset in (None, one.run.asset)]
        if len(found) != 1:
            raise ServiceError(
                ServiceCode.ASSET_UNKNOWN, "Name one of the run's assets: `asset=0x…`."
            )
        return found[0]

    def owns(self, account: Address, record: RunRecord) -> bool:
        """Tell whether an account owns the asset of a run."""
        hosted = self._assets.hosted.get(record.run.asset)
        return hosted is not None and hosted.owner == account

    def stop(self, account: Address, id_: str) -> JobRun:
        """Stop a run's parties here, for its requester or an asset's owner. Safe to repeat."""
        records = self._entitled(account, id_)
        if not all(account == one.requester or self.owns(account, one) for one in records):
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "Only the requester and the asset's owner stop it."
            )
        with self._lock:
            for record in records:
                if record.active:
                    kept = self._keep(record.run)
                    kept.stopped = True
                    kept.deadline = kept.deadline or time.monotonic() + GRACE
                    kept.process.terminate()
        self.loop.wake()
        return self.get(account, id_)

    def _entitled(self, account: Address, id_: str) -> Sequence[RunRecord]:
        records = [
            record
            for record in self._book.runs(id_)
            if account == record.requester
            or account in record.readers
            or self.owns(account, record)
        ]
        if not records:
            raise ServiceError(ServiceCode.RUN_UNKNOWN, "There is no such run of this account.")
        return records

    def _shown(self, account: Address, records: Sequence[RunRecord]) -> JobRun:
        first = records[0]
        return JobRun(
            id=first.run.id,
            job=first.run.job,
            request=first.run.request,
            requester=first.requester,
            parties=[self._party(account, record) for record in records],
        )

    def _party(self, account: Address, record: RunRecord) -> Party:
        status = record.status
        reason = Reason(status.reason) if status.reason in set(Reason) else None
        sentence = status.sentence
        if not self.owns(account, record):
            safe = sentence and reason is not None and reason not in _OF_THE_OPERATION
            sentence = public_sentence(status.reason, sentence) if safe else ""
        return Party(
            asset=record.run.asset,
            state=status.state,
            reason=status.reason,
            sentence=sentence,
            hint=HINTS[reason] if reason is not None else "",
            stage=status.stage,
            stages=status.stages,
            peers=status.peers,
            started=record.started,
            ended=record.ended,
        )


def _died(last: Status, kept: _Kept) -> Status:
    """Return the end of a party that is gone without having said one."""
    if kept.stopped:
        state, sentence = RunState.STOPPED, "The party was stopped, and did not end by itself."
    else:
        code = kept.process.exit_code
        how = f" with exit code {code}" if code is not None else ""
        state = RunState.FAILED
        sentence = f"The party's process ended{how} without saying why; see {OUTPUT} at its owner."
    update = {"state": state, "reason": Reason.PARTY_STOPPED.value, "sentence": sentence}
    return last.model_copy(update=update)


def _replayed(request: Hex32) -> Refused:
    return Refused(
        Reason.REQUEST_REPLAYED, f"Compute request {request[:10]}… has started a run here before."
    )
