"""A governed simulation of one job: put together, run, told."""

import secrets
import sqlite3
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import SCHEMA, HistoryStore
from datatoken.authorization.view import LogState
from datatoken.errors import RunFailedError
from datatoken.roles.site import Site
from datatoken.types import Hex32, Scalar
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY
from fl_edge.simulation.engine import Governance, Setting, run_engine
from fl_edge.simulation.facts import Facts
from fl_edge.simulation.gates import ClientGates, Refusal
from fl_edge.simulation.reader import RoundReader
from fl_edge.simulation.rounds import Desk, Round, Rounds
from fl_edge.simulation.strategy import Learned
from fl_edge.superlink.gate import SuperLinkGate
from fl_edge.superlink.runs import RunBook

RUN_BYTES = 7


@dataclass
class Simulated:
    """A simulation that has come to its end; `enforcement` is false, always."""

    rounds: list[Round]
    refusals: list[Refusal]
    learned: Learned
    seconds: float
    enforcement: bool = False


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
        self._rounds = Rounds()
        self.gates = ClientGates(
            facts, setting.clients, self._reader, str(self.run_id), self._rounds.number_of
        )

    @property
    def rounds(self) -> list[Round]:
        """The rounds so far."""
        return self._rounds.told(self.gates.refusals)

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
                desk = Desk(
                    gate,
                    self._rounds,
                    self.run_id,
                    admission.minimum,
                    before=self._reader.next_round,
                    after=self.gates.look,
                )
                learned = self._learn(desk)
            finally:
                book.close()
                history.close()
        return Simulated(
            self.rounds, self.gates.refusals, learned, round(time.monotonic() - started, 3)
        )

    def _learn(self, desk: Desk) -> Learned:
        """Run the app; how the run ends is for the SuperLink to say, and not for the app alone."""
        plan, governed = self._facts.plan, Governance(self.gates, desk)
        try:
            learned = run_engine(plan.fab, plan.overrides, self._setting, self.run_id, governed)
        except RunFailedError:
            desk.check_refused()
            raise
        desk.finish()
        return learned

    def _superlink(self, history: HistoryStore, book: RunBook) -> SuperLinkGate:
        """Return the gate of the SuperLink's owner, with a memory that ends with the run."""
        site, plan = self._site, self._facts.plan
        keeper = Gatekeeper(plan.server, self._reader, site.store, history, _NoLog())
        return SuperLinkGate(keeper, lambda: [plan.job], book)
