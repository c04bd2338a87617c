"""The state machine of one party in one run. Pure: it hears values and answers with values.

The order, each step only after the one before:
 (1) agree: every party has said the same agreed hash;
 (2) inputs: the own engine is ready, the shares of every input party are here;
 (3) stage k = 0, 1, …: the own gate's permission is fresh, and every party without a part in
     the stage (a data owner whose rows are shared already) has consented to it; then go;
 (4) checkpoint k: every party has told its commitment, every party has signed the digest that
     follows from all of them; only then the own receipt is stored, so that nothing is
     logged that did not happen;
 (5) final: the engine has ended well, the results are with their receivers, and all parties
     have said the same.
Anything else, or nothing in time, ends the run: every peer is told, with the reason.
"""

from enum import IntEnum

from datatoken.authorization.reasons import Reason, Refused
from datatoken.text import clean, short
from datatoken.types import Hex32
from rtt_tracer.agreement.checkpoints import Checkpoint, check_agreed, check_finals
from rtt_tracer.control.messages import Agree, Commit, Final, Message, Ready, Stop
from rtt_tracer.control.messages import Sign as SignMessage
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.events import EngineEvent, EventKind
from rtt_tracer.party import steps
from rtt_tracer.party.leases import Leases
from rtt_tracer.party.outcomes import deadline, failed, missing
from rtt_tracer.party.outline import Outline
from rtt_tracer.party.preflight import Preflight
from rtt_tracer.party.steps import Action, Event, Go, Note, Outcome, Say, State, outcome_of
from rtt_tracer.settings import DeadlineSettings

ENGINE_GRACE, LOST_GRACE = 6.0, 3.0
"""Seconds in which a peer's word explains better why an engine broke, or why a peer is away."""


class Phase(IntEnum):
    """Which step the party is at."""

    AGREEING = 1
    PREPARING = 2
    RUNNING = 3
    ENDING = 4
    OVER = 5


class Stages:
    """One party's run, from the agreed hash to the end.

    Parameters
    ----------
    outline : Outline
    deadlines : DeadlineSettings
    now : float
        Of a clock that only goes forward; receipts are judged by `Heard.at`, Unix time.
    """

    def __init__(self, outline: Outline, deadlines: DeadlineSettings, now: float) -> None:
        self.outline, self.deadlines = outline, deadlines
        self.leases = Leases(outline.last, deadlines.lease, deadlines.recheck, now)
        self.phase = Phase.AGREEING
        self.stage = -1
        self.outcome: Outcome | None = None
        self.agreed: dict[Hex32, Hex32] = {outline.me: outline.agreed}
        self.commitments: dict[int, dict[Hex32, Hex32]] = {}
        self.finals: dict[Hex32, Final] = {}
        self._checks: dict[int, Checkpoint] = {}
        self._stored = -1
        self._preflight = Preflight(frozenset(one.dt for one in outline.plan.linked))
        self._ready = self._inputs_in = self._shared = False
        self._results_in, self._results_out = not outline.receives, not outline.sends_results
        self.end: EngineEvent | None = None
        self._exit: int | None = None
        self._broken: tuple[float, Outcome] | None = None
        self._started = self._since = self._engine_heard = now
        self._said: set[object] = set()
        self._out: list[Action] = [Say(Agree(agreed=outline.agreed))]

    def handle(self, event: Event, now: float) -> list[Action]:
        """Hear one event and return what to do."""
        if self.outcome is None:
            try:
                self._hear(event, now)
            except Refused as refused:
                self._finish(outcome_of(refused))
        return self.advance(now)

    def advance(self, now: float) -> list[Action]:
        """Return what is to be done by now; to be called at least every second."""
        if self.outcome is None:
            self._watch(now)
        try:
            while self.outcome is None and self._step(now):
                pass
        except Refused as refused:
            self._finish(outcome_of(refused))
        asks = self.outcome is None and self.phase < Phase.ENDING
        if asks and (stage := self.leases.wanted(now)) is not None:
            self._out.append(steps.Ask(stage))
        found, self._out = self._out, []
        return found

    # Hearing

    def _hear(self, event: Event, now: float) -> None:
        match event:
            case steps.Heard(dt, message, at):
                if dt in self.outline.peers:
                    self._peer(dt, message, at)
            case steps.Lost(dt) if dt not in self.finals:
                why = f"DT {short(dt)} can't be reached any more."
                self._suspect(failed(Reason.PARTY_MISSING, why), now + LOST_GRACE)
            case steps.Granted(stage):
                self.leases.allow(stage, now)
            case steps.Denied(stage, reason, sentence):
                if (outcome := self.leases.deny(stage, reason, sentence, now)) is not None:
                    self._refuse(outcome, now)
                elif stage <= self.outline.last:
                    self._once(("waiting", stage, reason), _waiting(stage, reason))
            case steps.EngineSaid(said):
                self._engine_heard = now
                self._engine(said, now)
            case steps.EngineGone(code):
                self._exit = code
                if self.end is None or code != 0:
                    why = f"The engine's process has ended with exit code {code}."
                    self._suspect(failed(Reason.ENGINE_FAILED, why), now + ENGINE_GRACE)
                elif self.outline.role is Role.SPU_SHARE:
                    # Not before: nobody can put something else in the files' place now.
                    self._shared = True
                    self._send_shares()
            case steps.InputsIn():
                self._inputs_in = True
            case steps.ResultsIn():
                self._results_in = True
            case steps.ResultsOut():
                self._results_out = True
            case steps.Signed(stage, receipt, at):
                self.check(stage).sign(self.outline.me, receipt, at)
                self._out.append(Say(SignMessage(number=stage, receipt=receipt)))
                self._out.append(Note("signed", {"stage": stage}))
            case steps.Trouble(reason, sentence):
                self._fail(reason, sentence)
            case steps.Interrupted():
                why = "The operator has stopped it."
                self._finish(Outcome(State.STOPPED, Reason.PARTY_STOPPED, why))

    def _peer(self, dt: Hex32, message: Message, at: int) -> None:
        match message:
            case Agree(agreed=agreed):
                self.agreed[dt] = agreed
                check_agreed(self.outline.agreed, {dt: agreed})
            case Ready(code=code):
                self._preflight.hear(dt, code)
                self._send_shares()
            case Commit(number=number, commitment=commitment):
                self.check(number, dt).commit(dt, commitment)
                self.commitments.setdefault(number, {})[dt] = commitment
            case SignMessage(number=number, receipt=receipt):
                self.check(number, dt).sign(dt, receipt, at)
            case Final():
                if self.finals.setdefault(dt, message) != message:
                    raise Refused(
                        Reason.CHECKPOINT_MISMATCH, f"DT {short(dt)} has ended in two ways."
                    )
            case Stop(reason=reason, sentence=sentence):
                code = Reason(reason) if reason in set(Reason) else Reason.PARTY_STOPPED
                told = f"DT {short(dt)} has stopped the run: {clean(sentence)[:500]}"
                self._finish(Outcome(State.STOPPED, code, told), tell=False)

    def _engine(self, event: EngineEvent, now: float) -> None:
        match event.kind:
            case EventKind.READY:
                self._ready = True
                if self.outline.role.linked:
                    self._out.append(Say(Ready(code=event.digest or self.outline.agreed)))
            case EventKind.PROGRESS if not self.outline.role.alone:
                self._out.append(Note("progress", {"done": event.done, "total": event.total}))
            case EventKind.CHECKPOINT:
                runs = self.phase is Phase.RUNNING and not self._committed(self.stage)
                if not runs or event.number != self.stage or event.commitment is None:
                    why = f"The engine reports stage {event.number}; {self.stage} runs."
                    raise Refused(Reason.ENGINE_FAILED, why)
                self._commit(event.commitment)
            case EventKind.END:
                if not self._committed(self.outline.busy):
                    why = f"The engine has ended in stage {self.stage} of {self.outline.busy}."
                    raise Refused(Reason.ENGINE_FAILED, why)
                self.end = event
            case EventKind.FAILED:
                why = f"The engine has failed: {clean(event.message or event.code or '')[:500]}"
                told = "Its engine has failed." if self.outline.role.alone else None
                self._suspect(failed(Reason.ENGINE_FAILED, why, told), now + ENGINE_GRACE)

    # Watching the clock

    def _watch(self, now: float) -> None:
        late = None
        if self._broken is not None and now >= self._broken[0]:
            late = self._broken[1]
        elif self.phase < Phase.ENDING:
            late = self.leases.lapsed(now)
        late = late or self._late(now)
        if late is not None:
            self._finish(late)

    def _late(self, now: float) -> Outcome | None:
        limits, waited = self.deadlines, now - self._since
        if now - self._started > limits.run:
            return deadline("The run has not ended", limits.run)
        if self.phase is Phase.AGREEING and waited > limits.peers:
            late = [dt for dt in self.outline.peers if dt not in self.agreed]
            return missing(late, "to agree", limits.peers)
        if self.phase is Phase.PREPARING and waited > limits.start:
            if self._ready:
                return deadline("Not all shares of the rows have come", limits.start)
            return deadline("The engine was not ready", limits.start)
        if self.phase is Phase.ENDING and waited > limits.start:
            late = [dt for dt in self.outline.peers if dt not in self.finals]
            return missing(late, "to end", limits.start)
        if self.phase is not Phase.RUNNING:
            return None
        silent = now - max(self._engine_heard, self._since)
        if not self._committed(self.stage) and silent > limits.progress:
            return deadline(f"The engine was silent in stage {self.stage}", limits.progress)
        return self._late_stage() if waited > limits.stage else None

    def _late_stage(self) -> Outcome:
        limit, check = self.deadlines.stage, self.check(self.stage)
        if not self._committed(self.stage):
            return deadline(f"Stage {self.stage} has not ended", limit)
        if self._stored < self.stage:
            return missing(check.unsigned, f"to sign stage {self.stage}", limit)
        if self.leases.refusal is not None:
            return Outcome(State.REFUSED, *self.leases.refusal)
        silent = [dt for dt in self.outline.idle if dt not in self._consents(self.stage + 1)]
        return missing(silent, f"to consent to stage {self.stage + 1}", limit)

    # Steps

    def _step(self, now: float) -> bool:
        """Do one thing that can be done now; tell whether there was one."""
        match self.phase:
            case Phase.AGREEING:
                if self.agreed.keys() != set(self.outline.plan.dts):
                    return False
                self._enter(Phase.PREPARING, now)
                self._out.append(Note("agreed", {"agreed": self.outline.agreed}, State.AGREED))
                self._out.append(steps.StartEngine())
                return True
            case Phase.PREPARING:
                return self._ready and self._inputs_in and self._go(now)
            case Phase.RUNNING:
                return self._step_running(now)
            case Phase.ENDING:
                return self._step_ending()
            case Phase.OVER:
                return False

    def _go(self, now: float) -> bool:
        """Start the next stage, where the own gate and all idle owners consent."""
        number = self.leases.next
        works = number <= self.outline.busy
        consents = number == 0 or not works or self._consents(number) >= set(self.outline.idle)
        if not consents or not self.leases.fresh(now):
            return False
        self.stage = self.leases.start()
        self._enter(Phase.RUNNING, now)
        self._out.append(Go(number, works))
        self._out.append(Note("go", {"stage": number}, State.RUNNING))
        if not works:
            self._commit(self.commitments[self.outline.busy][self.outline.me])
        return True

    def _step_running(self, now: float) -> bool:
        number, check = self.stage, self.check(self.stage)
        if not self._committed(number):
            return False
        if self._stored == number:
            return number < self.outline.last and self._go(now)
        if (common := check.digest) is None:
            return False
        book = {dt: self.commitments[number][dt] for dt in self.outline.plan.dts}
        if self._once(("sign", number), steps.Sign(number, common, book[self.outline.me], book)):
            return True
        if not check.complete:
            return False
        self._stored = number
        self._out.append(steps.Store(number))
        if number == self.outline.last:
            self._enter(Phase.ENDING, now)
        return True

    def _step_ending(self) -> bool:
        if self.end is None or self._exit != 0:
            return False
        if not self._results_out:
            return self._once("send results", steps.SendResults())
        if not self._results_in:
            return False
        own = self._own_final()
        if self._once("final", Say(own)):
            self.finals[self.outline.me] = own
            return True
        if self.finals.keys() != set(self.outline.plan.dts):
            return False
        check_finals(self.outline.plan, self.finals)
        self._finish(Outcome(State.FINISHED))
        return False

    def _send_shares(self) -> None:
        if self._shared and self._preflight.passed:
            self._once("shares", steps.SendShares())

    def _own_final(self) -> Final:
        """Return the last word: parties that are not linked vouch for the agreement alone."""
        digest = self.end.digest if self.end is not None and self.outline.role.linked else None
        return Final(digest=digest or self.outline.agreed, checkpoints=self.outline.last + 1)

    # Small things

    def check(self, number: int, dt: Hex32 = "") -> Checkpoint:
        """Return a checkpoint; raise `Refused` when `dt` speaks of one that there is not."""
        if number > self.outline.last:
            why = f"DT {short(dt)} speaks of stage {number}; the last one is {self.outline.last}."
            raise Refused(Reason.CHECKPOINT_MISMATCH, why)
        if number not in self._checks:
            of = self.outline
            self._checks[number] = Checkpoint(of.plan, of.agreed, number, of.network)
        return self._checks[number]

    def _consents(self, number: int) -> set[Hex32]:
        return set(self.commitments.get(number, {}))

    def _committed(self, number: int) -> bool:
        return self.outline.me in self.commitments.get(number, {})

    def _commit(self, commitment: Hex32) -> None:
        """Commit to what the own engine has at the end of the stage that runs."""
        number, me = self.stage, self.outline.me
        self.check(number).commit(me, commitment)
        self.commitments.setdefault(number, {})[me] = commitment
        self._out.append(Say(Commit(number=number, commitment=commitment)))
        self._out.append(Note("checkpoint", {"stage": number}))

    def _enter(self, phase: Phase, now: float) -> None:
        self.phase, self._since = phase, now

    def _once(self, key: object, action: Action) -> bool:
        if key in self._said:
            return False
        self._said.add(key)
        self._out.append(action)
        return True

    def _suspect(self, outcome: Outcome, due: float) -> None:
        """Something broke: a peer's own word until `due` explains it better.

        A peer that is away explains an engine that lost its link, never the other way round.
        """
        if self._broken is None or outcome.reason == Reason.PARTY_MISSING:
            earlier = self._broken[0] if self._broken is not None else due
            self._broken = (min(due, earlier), outcome)

    def _refuse(self, outcome: Outcome, now: float) -> None:
        """End the run, for the own gate refuses; no stage starts from now on.

        An owner who withdraws is seen by all gates; the own gate of that owner knows why.
        """
        if outcome.reason == Reason.TOO_FEW_PARTICIPANTS:
            self._suspect(outcome, now + self.deadlines.recheck + LOST_GRACE)
        else:
            self._finish(outcome)

    def _fail(self, reason: str, sentence: str) -> None:
        self._finish(failed(reason, sentence))

    def _finish(self, outcome: Outcome, *, tell: bool = True) -> None:
        if self.outcome is not None:
            return
        self.outcome, self.phase = outcome, Phase.OVER
        if tell and outcome.stop is not None:
            self._out.append(Say(outcome.stop))
        self._out.append(steps.Finish(outcome))


def _waiting(stage: int, reason: Reason) -> Note:
    return Note("waiting", {"stage": stage, "reason": reason.value})
