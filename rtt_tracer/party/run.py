"""One party's run from its request to its end: authorise, introduce, agree, run, report."""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import structlog

from datatoken.authorization.decision import Lease
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import run_id
from datatoken.errors import DataTokenError
from datatoken.types import ZERO32, Hex32
from rtt_tracer.agreement.introductions import Contact, Introduction
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.engines.base import Endpoint, Engine, Role
from rtt_tracer.party import inputs, results
from rtt_tracer.party.arrivals import Arrivals
from rtt_tracer.party.engines import engine_of
from rtt_tracer.party.exchange import keep_results, released, write_run
from rtt_tracer.party.folder import RunFolder
from rtt_tracer.party.joining import engine_job, joined_job, open_channel, telling
from rtt_tracer.party.leases import BEHIND
from rtt_tracer.party.leftovers import settle, tidy
from rtt_tracer.party.meeting import meet
from rtt_tracer.party.outline import Outline
from rtt_tracer.party.owner import OwnerSide
from rtt_tracer.party.ports import HeldPort
from rtt_tracer.party.process import EngineRun
from rtt_tracer.party.request import Task, read_task
from rtt_tracer.party.stages import Stages
from rtt_tracer.party.steps import Event, Interrupted, Outcome, State, outcome_of
from rtt_tracer.party.supervisor import Supervisor, wait_ready
from rtt_tracer.sandbox import Limits
from rtt_tracer.settings import PartySettings

log = structlog.get_logger(__name__)
KEEP_WORK = "DATATOKEN_KEEP_WORK"


class Party:
    """One run of one asset.

    Parameters
    ----------
    settings : PartySettings
    job, request : Hex32
        The request by the digest of its stored bytes.
    """

    def __init__(self, settings: PartySettings, job: Hex32, request: Hex32) -> None:
        self.settings, self.job, self.request = settings, job, request
        self.events: queue.Queue[Event] = queue.Queue()
        self.status: Mapping[str, Any] = {}
        self._stop = threading.Event()
        self._said: list[Event] = []

    def stop(self) -> None:
        """End the run at the operator's wish; safe in a signal handler's thread."""
        self._stop.set()
        self.events.put(Interrupted())

    def run(self) -> Outcome:
        """Run to the end and return how it was; nothing that was started is left.

        Raises
        ------
        DataTokenError
            When there is no run to speak of: settings, keys, chain, or a replayed request.
        """
        side = OwnerSide.open(self.settings)
        with contextlib.closing(side):
            keep_work = bool(os.environ.get(KEEP_WORK))
            for name in settle(Path(self.settings.state), keep_work=keep_work):
                log.warning("a run that nobody ended", dt=side.dt, run=name)
            side.outbox.start()  # with what an earlier party has left
            try:
                folder = self._folder()
            except DataTokenError:
                side.drain()
                side.outbox.stop()
                raise
            self.status = folder.status
            outcome = Outcome(State.FAILED, "INTERNAL", "Something unexpected happened.")
            try:
                outcome = self._run(side, folder)
            except DataTokenError as error:
                outcome = outcome_of(error)
            finally:
                if not keep_work:
                    tidy(folder.path)
                side.drain()
                side.outbox.stop()
                folder.end(outcome)
                log.info("ended", dt=side.dt, state=outcome.state.value, reason=outcome.reason)
                folder.close()
        return outcome

    def _folder(self) -> RunFolder:
        return RunFolder(
            Path(self.settings.state),
            run_id(self.request),
            job=self.job,
            request=self.request,
            dt=self.settings.dt,
        )

    def _run(self, side: OwnerSide, folder: RunFolder) -> Outcome:
        task = read_task(side, self.job, self.request)
        engine = engine_of(task.me.role, self.settings.engines)
        folder.set(
            role=task.me.role.value,
            operation=task.document.name,
            kind=task.plan.kind.value,
            protocol=task.plan.protocol,
            stages=task.last,
            peers={dt: "waiting" for dt in task.plan.dts if dt != side.dt},
            receivers=list(task.plan.receivers),
            released_to_requester=released(task.plan, task.me),
        )
        authorise = _authorise(side, task, engine.installed())
        lease = self._first_lease(authorise, folder)
        folder.note(
            "authorised", {"stage": 0, "sequence": lease.sequence}, state=State.AUTHORISED.value
        )
        inputs.place_bundle(task, folder.work)
        ddo = side.gatekeeper.tree(self.job).ddos[side.dt]
        rows = inputs.place_rows(task, self.settings.table, ddo, folder.work)
        limits = Limits(**self.settings.limits.model_dump())
        running = EngineRun(engine, limits, folder.log, self.events.put)
        with _ending(running):
            columns: list[int] = []
            if task.me.role is Role.SPU_SHARE:
                columns = self._describe(task, running, folder, rows.count if rows else 0)
            return self._together(side, folder, task, engine, running, authorise, rows, columns)

    def _first_lease(self, authorise: Callable[[], Lease], folder: RunFolder) -> Lease:
        """Ask the own gate; an earlier run's last rounds may still be on their way to the log."""
        deadline = time.monotonic() + self.settings.deadlines.peers
        while True:
            try:
                return authorise()
            except Refused as refused:
                if refused.reason not in BEHIND or time.monotonic() > deadline:
                    raise
                folder.note("waiting", {"stage": 0, "reason": refused.reason.value})
            self._wait(0.5)

    def _wait(self, seconds: float) -> None:
        if self._stop.wait(seconds):
            raise Refused(Reason.PARTY_STOPPED, "The operator has stopped it.")

    def _describe(self, task: Task, running: EngineRun, folder: RunFolder, rows: int) -> list[int]:
        """Start the engine that encodes rows; return the columns that it will share."""
        from rtt_tracer.engines.spu import columns_of

        nobody = tuple(Endpoint(rank, "0.0.0.0", 0) for rank in range(len(task.plan.linked)))  # noqa: S104
        running.start(engine_job(task, folder.work, ZERO32, nobody, rows, (), self.settings))
        self._said, ready = wait_ready(
            self.events, self.settings.deadlines.start, self._stop.is_set
        )
        columns = columns_of(ready.event)
        while columns and not columns[-1]:
            columns.pop()  # arrays that only other operations read
        return columns

    def _together(
        self,
        side: OwnerSide,
        folder: RunFolder,
        task: Task,
        engine: Engine,
        running: EngineRun,
        authorise: Callable[[], Lease],
        rows: inputs.Rows | None,
        columns: list[int],
    ) -> Outcome:
        plan, network = task.plan, self.settings.network
        certificate, key = make_certificate(f"control {side.dt[:10]}", network.host)
        link_pair = (
            make_certificate(f"link {side.dt[:10]}", network.host) if task.me.role.linked else None
        )
        with contextlib.ExitStack() as stack:
            channel = stack.enter_context(
                open_channel(side, task, folder, certificate, key, self.settings)
            )
            port = channel.start()
            link, held = None, None
            if link_pair is not None:
                held = stack.enter_context(HeldPort(network.host, network.ports))
                link = Contact(host=network.host, port=held.port, certificate=link_pair[0])
            introduction = Introduction(
                job=self.job,
                request=self.request,
                run=plan.run,
                dt=side.dt,
                control=Contact(host=network.host, port=port, certificate=certificate),
                link=link,
                rows=rows.count if rows else None,
                alignment=rows.alignment if rows else None,
                columns=columns,
                engine=engine.version(),
            )
            where = {"host": network.host, "port": port, "link": held.port if held else None}
            folder.note("introduced", where)
            found = meet(
                side,
                plan,
                introduction,
                deadline=time.monotonic() + self.settings.deadlines.peers,
                seen=lambda dt: folder.peer(dt, "introduced"),
                wait=self._wait,
            )
            agreed = plan.agreed(found)
            channel.meet(found)
            job = joined_job(task, folder.work, agreed, found, self.settings)
            certificates = [one.certificate for one in job.parties]
            inputs.place_certificates(folder.work, link_pair, certificates)
            supervisor = Supervisor(
                Outline(plan, side.network, side.dt, agreed, task.last),
                side,
                channel,
                folder,
                running,
                self.settings.deadlines,
                self.events,
                authorise=authorise,
                start=lambda: running.start(job, held.release if held else lambda: None),
                open_results=lambda arrivals, machine: self._open(
                    engine, task, folder, arrivals, machine
                ),
            )
            self._replay()
            with telling(channel):
                outcome = supervisor.run()
            running.end()
            if outcome.state is State.FINISHED:
                self._keep(task, folder, supervisor.machine, channel.bytes_sent)
            return outcome

    def _replay(self) -> None:
        """Put what a process has said before in front of what it has said since."""
        later: list[Event] = []
        with contextlib.suppress(queue.Empty):
            while True:
                later.append(self.events.get_nowait())
        for event in (*self._said, *later):
            self.events.put(event)
        self._said = []

    def _keep(self, task: Task, folder: RunFolder, machine: Stages, control_bytes: int) -> None:
        """Put into `results` what is for the asset's owner or the requester."""
        number = task.last
        mine = released(task.plan, task.me) or task.me.role.private
        if mine and task.me.role is not Role.SPU_SHARE:
            keep_results(folder.work / "out" / "results", folder.results)
            check = machine.check(number)
            write_run(
                folder.results,
                task.plan,
                task.me,
                machine.outline.agreed,
                number,
                machine.commitments[number],
                check.digest or ZERO32,
            )
        metrics = dict(machine.end.metrics) if machine.end is not None else {}
        folder.set(metrics={**metrics, "control_bytes": control_bytes})

    def _open(
        self, engine: Engine, task: Task, folder: RunFolder, arrivals: Arrivals, machine: Stages
    ) -> None:
        results.open_shares(
            self.settings.engines,
            task,
            folder.results,
            arrivals,
            machine.commitments[task.last],
            folder.work / "out" / "results",
        )


def _authorise(side: OwnerSide, task: Task, installed: Mapping[str, str]) -> Callable[[], Lease]:
    """Return what asks the own gate about the next stage, without counting."""
    plan, me = task.plan, task.me

    def ask() -> Lease:
        lease = side.gatekeeper.authorize(
            job=plan.job,
            run=plan.run,
            bundle=me.bundle,
            artefact=plan.artefact,
            kind=plan.kind,
            parameters=plan.parameters,
            records={},
            installed=installed,
            request=plan.request,
            count=False,
        )
        if lease.request != plan.request:  # below a composite, the gate takes the announced one
            raise Refused(
                Reason.REQUEST_MISMATCH,
                f"Another compute request is announced for DT {me.dt[:10]}….",
            )
        return lease

    return ask


@contextlib.contextmanager
def _ending(running: EngineRun) -> Iterator[None]:
    """See to it that nothing of the engine is left, whatever happens."""
    try:
        yield
    finally:
        running.end()
