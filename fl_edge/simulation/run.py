"""A governed simulation of one job: put together, run, told."""

import secrets
import sqlite3
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import SCHEMA, HistoryStore
from datatoken.authorization.view import LogState
from datatoken.roles.site import Site
from datatoken.types import Hex32, MessageKind, Scalar
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY
from fl_edge.simulation.engine import Governance, Setting, run_engine
from fl_edge.simulation.facts import Facts
from fl_edge.simulation.gates import ClientGates, Refusal
from fl_edge.simulation.reader import RoundReader
from fl_edge.simulation.strategy import Learned
from fl_edge.superlink.gate import Outgoing, SuperLinkGate
from fl_edge.superlink.runs import RunBook

RUN_BYTES = 7


@dataclass(frozen=True)
class Round:
    """One round that the server has sent: train and evaluate are one each."""

    number: int
    kind: MessageKind
    sent: int
    refused: Mapping[str, int]
    seconds: float


@dataclass
class Simulated:
    """A simulation that has come to its end; `enforcement` is false, always."""

    rounds: list[Round]
    refusals: list[Refusal]
    learned: Learned
    seconds: float
    enforcement: bool = False


@dataclass
class Pushes:
    """When each round left, and how many messages it had."""

    found: list[tuple[MessageKind, int, float]] = field(default_factory=list)

    def note(self, messages: list[Outgoing]) -> None:
        """Note a round that leaves now."""
        self.found.append((messages[0].kind, len(messages), time.monotonic()))

    def rounds(self, refusals: Sequence[Refusal], ended: float) -> list[Round]:
        """Return the rounds with what was refused in them."""
        ends = [at for _, _, at in self.found[1:]] + [ended]
        return [
            Round(
                number,
                kind,
                sent,
                dict(Counter(r.reason.value for r in refusals if r.round == number)),
                round(end - at, 3),
            )
            for number, ((kind, sent, at), end) in enumerate(
                zip(self.found, ends, strict=True), start=1
            )
        ]


class _Forgetful(HistoryStore):
    """A history that ends with the run: the same tables, in memory."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._db = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None)
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Forget everything."""
        self._db.close()


class _NoLog:
    """The recorder's log as a simulation takes it: up to date, and without own receipts."""

    def update(self, _job: Hex32, head: str, number: int) -> LogState:
        return LogState(head=head, round=number)


class Simulation:
    """The gates of one simulated run; `run` starts it. Ends with a `Refused` where one refuses.

    Parameters
    ----------
    site : Site
        Chain and store.
    facts : Facts
    setting : Setting
    """

    def __init__(self, site: Site, facts: Facts, setting: Setting) -> None:
        self._site, self._facts, self._setting = site, facts, setting
        self.run_id = int.from_bytes(secrets.token_bytes(RUN_BYTES), "big") + 1
        self._reader = RoundReader(site.reader)
        self.gates = ClientGates(facts, setting.clients, self._reader, str(self.run_id))
        self._pushes = Pushes()

    @property
    def rounds(self) -> list[Round]:
        """The rounds so far."""
        return self._pushes.rounds(self.gates.refusals, time.monotonic())

    def run(self) -> Simulated:
        """Ask the SuperLink's gate, run the app, and ask anew for each round.

        Raises
        ------
        Refused, RunFailedError
        """
        started = time.monotonic()
        plan = self._facts.plan
        with tempfile.TemporaryDirectory(prefix="fl-gate-") as name:
            history = _Forgetful()
            book = RunBook(Path(name) / "runs.sqlite")
            try:
                gate = self._superlink(history, book)
                hints: dict[str, Scalar] = {
                    JOB_KEY: plan.job,
                    REQUEST_KEY: self._facts.request.digest(),
                }
                admission, lease = gate.admit(plan.fab, {**plan.overrides, **hints})
                gate.begin(self.run_id, admission, lease)

                def release(messages: list[Outgoing]) -> None:
                    self._reader.next_round()
                    for message in messages:
                        gate.release(message)
                    self.gates.look()
                    self._pushes.note(messages)

                governed = Governance(self.gates, release, admission.minimum)
                learned = run_engine(plan.fab, plan.overrides, self._setting, self.run_id, governed)
            finally:
                book.close()
                history.close()
        return Simulated(
            self.rounds, self.gates.refusals, learned, round(time.monotonic() - started, 3)
        )

    def _superlink(self, history: HistoryStore, book: RunBook) -> SuperLinkGate:
        """Return the gate of the SuperLink's owner, with a memory that ends with the run."""
        site, plan = self._site, self._facts.plan
        keeper = Gatekeeper(plan.server, self._reader, site.store, history, _NoLog())
        return SuperLinkGate(keeper, lambda: [plan.job], book)
