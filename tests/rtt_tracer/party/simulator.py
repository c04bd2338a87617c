"""All parties of a run as state machines on one simulated clock: no process, no network.

What the drivers would do is done at once; messages arrive in order, one after the other. A
test takes away what it wants: an engine, a party, a permission, a message.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from datatoken.authorization.reasons import Reason
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.control.messages import Message
from rtt_tracer.engines.base import Role
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.party import steps
from rtt_tracer.party.outline import Outline
from rtt_tracer.party.stages import Stages
from rtt_tracer.settings import DeadlineSettings
from tests.support.mpc import NETWORK, NOW, MpcWorld

LIMITS = DeadlineSettings(peers=10, start=20, progress=30, stage=60, run=600, lease=10, recheck=1)


@dataclass
class Seat:
    """One party: its machine, and what its driver has done."""

    dt: Hex32
    machine: Stages
    done: list[steps.Action] = field(default_factory=list)
    counted: list[int] = field(default_factory=list)
    stored: list[int] = field(default_factory=list)
    outcome: steps.Outcome | None = None
    alive: bool = True


class Table:
    """All parties of one run.

    Attributes
    ----------
    gate : callable
        (dt, stage, time) → why the own gate refuses, or None.
    works : callable
        (dt, stage) → whether the engine ends the stage.
    passes : callable
        (from, to, message) → whether the message arrives.
    """

    def __init__(self, last: int = 2, limits: DeadlineSettings = LIMITS) -> None:
        self.world = MpcWorld()
        self.plan = self.world.plan()
        agreed = self.plan.agreed(self.world.all(self.plan))
        self.agreed = dict.fromkeys(self.plan.dts, agreed)
        self.last, self.limits, self.now = last, limits, 0.0
        self.gate: Callable[[Hex32, int, float], Reason | None] = lambda dt, stage, now: None
        self.works: Callable[[Hex32, int], bool] = lambda dt, stage: True
        self.passes: Callable[[Hex32, Hex32, Message], bool] = lambda a, b, message: True
        self.commitment: Callable[[Hex32, int], str] = lambda dt, stage: sha256_hex(
            f"{dt} {stage}".encode()
        )
        self.seats: dict[Hex32, Seat] = {}
        self._mail: deque[tuple[Hex32, steps.Event]] = deque()

    def sit(self, *absent: Hex32) -> None:
        """Make the machines of all parties but those that never come."""
        for dt in self.plan.dts:
            if dt not in absent:
                outline = Outline(self.plan, NETWORK, dt, self.agreed[dt], self.last)
                self.seats[dt] = Seat(dt, Stages(outline, self.limits, self.now))

    def role(self, dt: Hex32) -> Role:
        return self.plan.of(dt).role

    @property
    def sharers(self) -> list[Hex32]:
        return [dt for dt in self.plan.dts if self.role(dt) is Role.SPU_SHARE]

    @property
    def computers(self) -> list[Hex32]:
        return [one.dt for one in self.plan.linked]

    def kill(self, dt: Hex32) -> None:
        """End a party without a word; the others' channels notice."""
        self.seats[dt].alive = False
        for other in self.seats:
            if other != dt:
                self._mail.append((other, steps.Lost(dt)))

    def tell(self, dt: Hex32, event: steps.Event) -> None:
        self._mail.append((dt, event))

    def run(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Let time pass, a quarter of a second at a time, until all have ended."""
        end = self.now + seconds
        while self.now < end and not until():
            for seat in self.seats.values():
                if seat.alive and seat.outcome is None:
                    self._do(seat, seat.machine.advance(self.now))
            self._deliver()
            if all(seat.outcome or not seat.alive for seat in self.seats.values()):
                return
            self.now += 0.25

    def _deliver(self) -> None:
        while self._mail:
            dt, event = self._mail.popleft()
            seat = self.seats[dt]
            if seat.alive and seat.outcome is None:
                self._do(seat, seat.machine.handle(event, self.now))

    def _do(self, seat: Seat, actions: list[steps.Action]) -> None:
        for action in actions:
            seat.done.append(action)
            match action:
                case steps.Say(message):
                    for other in self.seats:
                        if other != seat.dt and self.passes(seat.dt, other, message):
                            self._mail.append((other, steps.Heard(seat.dt, message, NOW)))
                case steps.Ask(stage):
                    why = self.gate(seat.dt, stage, self.now)
                    answer = steps.Denied(stage, why, "no") if why else steps.Granted(stage)
                    self._mail.append((seat.dt, answer))
                case steps.StartEngine():
                    self._mail.append((seat.dt, said("ready")))
                    if self.role(seat.dt) is Role.SPU_SHARE:
                        self._mail.append((seat.dt, steps.InputsIn()))
                case steps.Go(stage, with_engine):
                    seat.counted.append(stage)
                    if with_engine and self.works(seat.dt, stage):
                        self._work(seat, stage)
                case steps.SendShares():
                    sent = [s for s in self.seats.values() if s.dt in self.sharers]
                    if all(any(isinstance(a, steps.SendShares) for a in s.done) for s in sent):
                        for dt in self.computers:
                            if dt in self.seats:
                                self._mail.append((dt, steps.InputsIn()))
                case steps.Sign(stage, common, _, _):
                    fields = {"run": self.plan.run, "kind": self.plan.kind}
                    receipt = self.world.nodes[seat.dt].receipt(
                        self.plan.job, common, request=self.plan.request, **fields
                    )
                    self._mail.append((seat.dt, steps.Signed(stage, receipt, NOW)))
                case steps.Store(stage):
                    seat.stored.append(stage)
                case steps.Finish(outcome):
                    seat.outcome = outcome

    def _work(self, seat: Seat, stage: int) -> None:
        commitment = self.commitment(seat.dt, stage)
        self._mail.append((seat.dt, said("checkpoint", number=stage, commitment=commitment)))
        if stage == seat.machine.outline.busy:
            self._mail.append((seat.dt, said("end", digest=self.agreed[seat.dt])))
            self._mail.append((seat.dt, steps.EngineGone(0)))


def said(event: str, **fields: object) -> steps.EngineSaid:
    """Return a line of an engine's process."""
    return steps.EngineSaid(EngineEvent.model_validate({"event": event, **fields}))
