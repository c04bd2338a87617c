"""Honest runs: B signs a compute request, A verifies it, gives notice on the chain, and runs."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from datatoken.errors import RunFailedError
from datatoken.rounds.documents import RoundDocument
from datatoken.types import Scalar, sha256_hex
from examples.mvp2_wearables.control import Control
from examples.mvp2_wearables.hostile import honest_fab
from examples.mvp2_wearables.rounds import Log
from examples.mvp2_wearables.stack import Link
from examples.mvp2_wearables.world import ROOT, World
from fl_edge.fab import effective_config

POLL = 0.3
LIMIT = 900.0
REST = 5.0
PHASE_DONE = "Aggregated MetricRecord:"
OnDocument = Callable[[RoundDocument], None]


@dataclass(frozen=True)
class Finished:
    """A run that has ended.

    Attributes
    ----------
    ok : bool
        Whether all rounds were done.
    reason : str
        Why it ended otherwise.
    text : str
        The ServerApp's log.
    documents : list of RoundDocument
        What the recorder logged of it.
    """

    run: str
    ok: bool
    reason: str
    text: str
    documents: list[RoundDocument]


@dataclass
class Runs:
    """Starts runs of the demo's job on A's SuperLink."""

    world: World
    link: Link
    log: Log
    client: str
    layers: str
    timeout: float = 120.0

    def overrides(self, rounds: int) -> dict[str, Scalar]:
        """Return the run configuration that B asks for."""
        return {
            "num-server-rounds": rounds,
            "layers": self.layers,
            "min-nodes": self.world.minimum,
            "round-timeout": self.timeout,
        }

    def run(
        self,
        rounds: int,
        *,
        resume: bool = False,
        on_document: OnDocument = lambda document: None,
    ) -> Finished:
        """Run `rounds` rounds and wait; `on_document` is called for each round as it is logged."""
        world = self.world
        fab, overrides = honest_fab(ROOT, self.client), self.overrides(rounds)
        parameters = effective_config(fab, overrides)
        maker, owner = world.owner_of_algorithm(), world.owner_of_composite()
        request = maker.sign_request(
            world.job, sha256_hex(fab), parameters, audience=world.composite
        )
        owner.announce(world.job, request, artefact=sha256_hex(fab), parameters=parameters)
        hints: dict[str, Scalar] = {
            "datatoken-job": world.job,
            "datatoken-request": request.digest(),
        }
        if resume:
            hints["datatoken-resume"] = True
        control = Control(self.link.address)
        try:
            run = control.submit(fab, {**overrides, **hints})
            ended = self._follow(control, run, on_document)
            text = control.log(run)
            self._rest(str(run), text.count(PHASE_DONE), on_document)
        finally:
            control.close()
            maker.close()
            owner.close()
        documents = self.log.of_run(str(run))
        return Finished(str(run), ended[0] == "completed", ended[1], text, documents)

    def _follow(self, control: Control, run: int, on_document: OnDocument) -> tuple[str, str]:
        started = time.monotonic()
        while True:
            status = control.status(run)
            for document in self.log.new():
                on_document(document)
            if status[0]:
                return status
            if time.monotonic() - started > LIMIT:
                raise RunFailedError(f"Run {run} did not end within {LIMIT:.0f} s.")
            time.sleep(POLL)

    def _rest(self, run: str, phases: int, on_document: OnDocument) -> None:
        """Wait for the last documents: receipts travel beside Flower's own traffic."""
        deadline = time.monotonic() + REST
        while len(self.log.of_run(run)) < phases and time.monotonic() < deadline:
            for document in self.log.new():
                on_document(document)
            time.sleep(POLL)
