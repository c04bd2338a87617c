"""Drives one party's state machine: threads turn what happens into events, one loop acts.

Whatever happens, the run ends here with an outcome: the engine's process is gone, the peers
are told, the folder says why.
"""

import queue
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path

import structlog

from datatoken.authorization.decision import Lease
from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import DataTokenError
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import Hex32
from rtt_tracer.agreement.plan import REQUESTER
from rtt_tracer.control.channel import ControlChannel
from rtt_tracer.control.messages import Message, Stop
from rtt_tracer.control.wire import Gone, ShareReceived
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.events import EventKind
from rtt_tracer.party import steps
from rtt_tracer.party.arrivals import Arrivals
from rtt_tracer.party.exchange import send_files
from rtt_tracer.party.folder import RunFolder
from rtt_tracer.party.outcomes import failed
from rtt_tracer.party.outline import Outline
from rtt_tracer.party.owner import OwnerSide
from rtt_tracer.party.process import EngineRun
from rtt_tracer.party.stages import Stages
from rtt_tracer.party.steps import Action, Event, Outcome, State
from rtt_tracer.settings import DeadlineSettings

log = structlog.get_logger(__name__)
TICK = 0.2
SAY_SECONDS = 20.0
MOST_EVENTS = 1024
"""That may wait here before peers have to: one that never stops talking fills no memory."""

Authorise = Callable[[], Lease]


class Supervisor:
    """One run of one party, from the agreed hash to its end.

    Parameters
    ----------
    events : queue.Queue
        What has happened already (an engine that was started before), and what will.
    authorise : callable
        Asks the own gate without counting; raises `Refused`.
    start : callable
        Starts the engine; not called for one that runs already.
    open_results : callable
        Puts the result shares of all linked parties together (receivers); raises
        `DataTokenError`.
    """

    def __init__(
        self,
        outline: Outline,
        side: OwnerSide,
        channel: ControlChannel,
        folder: RunFolder,
        engine: EngineRun,
        deadlines: DeadlineSettings,
        events: "queue.Queue[Event]",
        *,
        authorise: Authorise,
        start: Callable[[], None],
        open_results: Callable[[Arrivals, Stages], None],
    ) -> None:
        self.outline, self.side, self.channel, self.folder = outline, side, channel, folder
        self.engine, self.events = engine, events
        self.machine = Stages(outline, deadlines, time.monotonic())
        self._authorise, self._start, self._open_results = authorise, start, open_results
        self._leases: dict[int, Lease] = {}
        self._counted: dict[int, Lease] = {}
        self._receipts: dict[int, SignedReceipt] = {}
        self._asks: queue.Queue[int | None] = queue.Queue()
        self._words: queue.Queue[steps.Say | None] = queue.Queue()
        self._threads: list[threading.Thread] = []
        plan = outline.plan
        sharers = frozenset(one.dt for one in plan.participants if one.role is Role.SPU_SHARE)
        self._inputs = Arrivals(sharers if outline.role is Role.SPU_COMPUTE else frozenset())
        linked = frozenset(one.dt for one in plan.linked if one.dt != outline.me)
        self._results = Arrivals(linked if outline.receives else frozenset())

    def run(self) -> Outcome:
        """Run to the end and return how it was."""
        for work, name in ((self._ask, "gate"), (self._speak, "say"), (self._listen, "hear")):
            self._thread(work, name)
        if not self._inputs.senders:
            self.events.put(steps.InputsIn())
        outcome = Outcome(State.FAILED, Reason.PARTY_STOPPED, "The run has ended.")
        try:
            outcome = self._loop()
        finally:
            self._asks.put(None)
            self._words.put(None)
        if outcome.state is State.FINISHED:
            self._threads[1].join(SAY_SECONDS)  # the last word must arrive
        return outcome

    def _loop(self) -> Outcome:
        todo = self.machine.advance(time.monotonic())
        while True:
            for action in todo:
                if isinstance(action, steps.Finish):
                    return action.outcome
                if (trouble := self._tried(action)) is None:
                    continue
                if (outcome := self.machine.outcome) is None:
                    # What was to follow depends on it: no consent is told, nothing is signed.
                    todo = self.machine.handle(trouble, time.monotonic())
                    break
                if outcome.state is State.FINISHED:
                    return failed(trouble.reason, trouble.sentence)
            else:
                todo = self._next()

    def _next(self) -> list[Action]:
        """Wait for an event, or for time to pass; return what is to be done then."""
        try:
            event = self.events.get(timeout=TICK)
        except queue.Empty:
            return self.machine.advance(time.monotonic())
        return self.machine.handle(event, time.monotonic())

    def _tried(self, action: Action) -> steps.Trouble | None:
        """Do something; return what is wrong where it can't be done."""
        try:
            self._act(action)
        except DataTokenError as error:
            found = steps.outcome_of(error)
            return steps.Trouble(found.reason or error.code, found.sentence)
        except OSError as error:
            why = f"The run's folder can't be used: {error.strerror}."
            return steps.Trouble(Reason.STATE_UNAVAILABLE, why)
        return None

    def _act(self, action: Action) -> None:
        match action:
            case steps.Say(message=Stop() as stop):
                self.channel.tell(stop)
            case steps.Say():
                self._words.put(action)
            case steps.Ask(stage):
                self._asks.put(stage)
            case steps.StartEngine():
                if not self.engine.started:
                    self._thread(self._start_engine, "start")
            case steps.Go(stage, with_engine):
                lease = self._leases[stage]
                self.side.gatekeeper.commit(lease)
                self._counted[stage] = lease
                self.folder.set(stage=stage)
                if with_engine:
                    self.engine.go(stage)
            case steps.SendShares():
                self._thread(self._send_shares, "shares")
            case steps.SendResults():
                self._thread(self._send_results, "results")
            case steps.Sign(stage, common, commitment, commitments):
                self._sign(stage, common, commitment, dict(commitments))
            case steps.Store(stage):
                self.side.book.store(self._receipts[stage])
                self.side.outbox.wake()
                self._stored(stage)
            case steps.Note(event, facts, state):
                self._note(event, facts, state)

    # What is done in the loop

    def _sign(
        self, stage: int, common: Hex32, commitment: Hex32, commitments: dict[Hex32, Hex32]
    ) -> None:
        signed = self.side.book.sign(self._counted[stage], common, commitment)
        self._receipts[stage] = signed
        entry = {
            "number": stage,
            "input": common,
            "commitments": commitments,
            "receipt": signed.receipt.digest(),
            "logged": False,
        }
        self.folder.set(checkpoints=[*self.folder.status["checkpoints"], entry])
        self.events.put(steps.Signed(stage, signed, int(time.time())))

    def _stored(self, stage: int) -> None:
        checkpoints = [
            {**one, "logged": one["logged"] or one["number"] == stage}
            for one in self.folder.status["checkpoints"]
        ]
        self.folder.note("stored", {"stage": stage}, checkpoints=checkpoints)

    def _note(self, event: str, facts: object, state: State | None) -> None:
        status = {"state": state.value} if state is not None else {}
        if event == "agreed":
            status["agreed"] = self.outline.agreed
        if event == "go":
            status["isolation"] = self.engine.isolation  # type: ignore[assignment]
        self.folder.note(event, dict(facts), **status)  # type: ignore[call-overload]
        log.info(event, dt=self.outline.me, run=self.outline.plan.run, **dict(facts))  # type: ignore[call-overload]

    # What threads do

    def _thread(self, work: Callable[[], None], name: str) -> None:
        thread = threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a thread's work; what it raises ends the run with a reason."""
        try:
            work()
        except DataTokenError as error:
            found = steps.outcome_of(error)
            self.events.put(steps.Trouble(found.reason or error.code, found.sentence))
        except Exception as error:  # a thread that dies in silence would hang the run
            log.exception("unexpected", error=type(error).__name__)
            why = f"Something unexpected happened: {type(error).__name__}."
            self.events.put(steps.Trouble("INTERNAL", why))

    def _ask(self) -> None:
        while (stage := self._asks.get()) is not None:
            try:
                self._leases[stage] = self._authorise()
            except Refused as refused:
                self.events.put(steps.Denied(stage, refused.reason, refused.message))
            else:
                self.events.put(steps.Granted(stage))

    def _speak(self) -> None:
        while (word := self._words.get()) is not None:
            self.channel.say(word.message, word.to, SAY_SECONDS)

    def _listen(self) -> None:
        while True:
            dt, said = self.channel.inbox.get()
            while self.events.qsize() > MOST_EVENTS:
                time.sleep(TICK)
            if isinstance(said, Gone):
                self.events.put(steps.Lost(dt))
            elif isinstance(said, ShareReceived):
                self._received(dt, said)
            else:
                self._peer_state(dt, said)
                self.events.put(steps.Heard(dt, said, int(time.time())))

    def _peer_state(self, dt: Hex32, said: Message) -> None:
        kinds = {"Agree": "agreed", "Final": "finished", "Stop": "stopped"}
        if (state := kinds.get(type(said).__name__)) is not None:
            self.folder.peer(dt, state)

    def _received(self, dt: Hex32, share: ShareReceived) -> None:
        arrivals = self._results if self.outline.receives else self._inputs
        if dt not in arrivals.senders or not arrivals.add(dt, share):
            return
        self.folder.note("shares_received", {"from": dt})
        if not arrivals.all_here:
            return
        if self.outline.receives:
            self._open_results(arrivals, self.machine)
            self.events.put(steps.ResultsIn())
        else:
            arrivals.gather(self.folder.work / "in" / "shares")
            self.events.put(steps.InputsIn())

    def _start_engine(self) -> None:
        self._start()

    def _send_shares(self) -> None:
        lists = self._lists()
        for one in self.outline.plan.linked:
            folder = self.folder.work / "out" / f"to-{one.rank}"
            send_files(self.channel, one.dt, folder, lists)
            shutil.rmtree(folder, ignore_errors=True)
            self.folder.note("shares_sent", {"to": one.dt})

    def _send_results(self) -> None:
        lists = self._lists()
        for dt in self.outline.plan.receivers:
            if dt not in (REQUESTER, self.outline.me):
                send_files(self.channel, dt, self.folder.work / "out" / "results", lists)
                self.folder.note("results_sent", {"to": dt})
        self.events.put(steps.ResultsOut())

    def _lists(self) -> Path:
        folder = self.folder.path / "lists"
        folder.mkdir(mode=0o700, exist_ok=True)
        return folder


def wait_ready(
    events: "queue.Queue[Event]", seconds: float, stopped: Callable[[], bool]
) -> tuple[list[Event], steps.EngineSaid]:
    """Wait for an engine that is started before the introduction; return what it has said.

    Raises
    ------
    Refused
        ENGINE_FAILED, DEADLINE_PASSED, PARTY_STOPPED.
    """
    found: list[Event] = []
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if stopped():
            raise Refused(Reason.PARTY_STOPPED, "The operator has stopped it.")
        try:
            event = events.get(timeout=TICK)
        except queue.Empty:
            continue
        found.append(event)
        match event:
            case steps.EngineSaid(said) if said.kind is EventKind.READY:
                return found, event
            case steps.EngineSaid(said) if said.kind is EventKind.FAILED:
                why = said.message or said.code or ""
                raise Refused(Reason.ENGINE_FAILED, f"The engine has failed: {why[:500]}")
            case steps.EngineGone(code):
                raise Refused(Reason.ENGINE_FAILED, f"The engine has ended with exit code {code}.")
            case steps.Trouble(_, sentence):
                raise Refused(Reason.ENGINE_FAILED, sentence)
    raise Refused(Reason.DEADLINE_PASSED, f"The engine was not ready within {seconds:g} s.")
