"""The driver of a party's machine: what fails while it acts, and who may keep it busy."""

import queue
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import ValidationError

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.control.messages import Agree, Commit, Message, Stop
from rtt_tracer.engines.events import EngineEvent
from rtt_tracer.party import run as party_run
from rtt_tracer.party import steps
from rtt_tracer.party.folder import RunFolder
from rtt_tracer.party.outline import Outline
from rtt_tracer.party.process import PROGRESS_SECONDS, Sieve
from rtt_tracer.party.steps import State
from rtt_tracer.party.supervisor import Supervisor
from rtt_tracer.settings import NetworkSettings
from tests.rtt_tracer.party.simulator import LIMITS
from tests.support.mpc import NETWORK, MpcWorld

AGREED = sha256_hex(b"agreed")


class Channel:
    """Notes what is said."""

    def __init__(self) -> None:
        self.inbox: queue.Queue[Any] = queue.Queue()
        self.said: list[Message] = []

    def say(self, message: Message, to: Hex32 | None = None, timeout: float = 0) -> None:
        self.said.append(message)

    def tell(self, message: Message) -> list[Hex32]:
        self.said.append(message)
        return []


class Gatekeeper:
    """Allows every round and can count none."""

    def commit(self, lease: object) -> None:
        raise Refused(Reason.ROUNDS_EXHAUSTED, "No round is left.")


def supervisor(tmp_path: Path, **more: Any) -> tuple[Supervisor, Channel]:
    plan = MpcWorld().plan()
    me, channel = plan.dts[0], Channel()
    folder = RunFolder(tmp_path, plan.run, job=plan.job, request=plan.request, dt=me)
    made = Supervisor(
        Outline(plan, NETWORK, me, AGREED, 3),
        SimpleNamespace(**{"gatekeeper": Gatekeeper(), **more}),  # type: ignore[arg-type]
        channel,  # type: ignore[arg-type]
        folder,
        SimpleNamespace(started=True, go=lambda stage: None),  # type: ignore[arg-type]
        LIMITS,
        queue.Queue(),
        authorise=lambda: SimpleNamespace(),  # type: ignore[arg-type,return-value]
        start=lambda: None,
        open_results=lambda arrivals, machine: None,
    )
    return made, channel


def first(made: Supervisor, todo: list[steps.Action]) -> None:
    """Have the machine ask for something before all else."""
    real = made.machine.advance

    def advance(now: float) -> list[steps.Action]:
        made.machine.advance = real  # type: ignore[method-assign]
        return todo

    made.machine.advance = advance  # type: ignore[method-assign]


def test_round_that_can_not_be_counted_is_consented_to_nobody(tmp_path: Path) -> None:
    """Another process has used the last round up: peers must not go on with a stage by it."""
    made, channel = supervisor(tmp_path)
    consent = [steps.Go(1, False), steps.Say(Commit(number=1, commitment=AGREED))]
    made._leases[1] = SimpleNamespace()  # type: ignore[assignment]
    first(made, consent)

    outcome = made.run()

    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.ROUNDS_EXHAUSTED)
    time.sleep(0.1)  # what was queued would be said by now
    assert {type(one) for one in channel.said} == {Agree, Stop}


def test_receipt_that_can_not_be_stored_is_no_success(tmp_path: Path) -> None:
    class Full:
        def store(self, signed: object) -> None:
            raise OSError(28, "No space left on device")

    made, _ = supervisor(tmp_path, book=Full())
    done = steps.Outcome(State.FINISHED)
    made._receipts[3] = SimpleNamespace()  # type: ignore[assignment]
    made.machine.outcome = done
    first(made, [steps.Store(3), steps.Finish(done)])

    outcome = made.run()

    assert (outcome.state, outcome.reason) == (State.FAILED, Reason.STATE_UNAVAILABLE)


def test_another_request_than_the_announced_one_starts_nothing() -> None:
    """Threat: two requests of one job; the gate allows the announced one, whatever is named."""
    plan = MpcWorld().plan()
    me = plan.participants[0]
    announced = sha256_hex(b"announced")
    gatekeeper = SimpleNamespace(authorize=lambda **asked: SimpleNamespace(request=announced))
    side: Any = SimpleNamespace(gatekeeper=gatekeeper)
    task: Any = SimpleNamespace(plan=plan, me=me)

    with pytest.raises(Refused) as refused:
        party_run._authorise(side, task, {})()

    assert refused.value.reason is Reason.REQUEST_MISMATCH


def test_operation_that_never_stops_talking_fills_no_memory() -> None:
    """Progress passes now and then, readiness once; checkpoints and ends always."""
    sieve = Sieve()
    progress, ready, end = (
        EngineEvent.model_validate({"event": name}) for name in ("progress", "ready", "end")
    )

    assert [sieve.passes(progress, 1.0 + n * 1e-4) for n in range(1000)].count(True) == 1
    assert sieve.passes(progress, 1.2 + PROGRESS_SECONDS)
    assert [sieve.passes(ready, 1.0) for _ in range(3)] == [True, False, False]
    assert sieve.passes(end, 1.0)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "no host", "", "a/b"])
def test_host_that_no_peer_can_reach_is_refused_at_once(host: str) -> None:
    """Not as a traceback when the party introduces itself."""
    with pytest.raises(ValidationError, match="host"):
        NetworkSettings(host=host)
