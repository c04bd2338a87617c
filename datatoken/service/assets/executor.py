"""The seam between the service and an engine: what an executor is asked to do.

The service decides who may start what; the executor knows how one engine's party is started
and where it leaves its words. `rtt_tracer.service` has one for MPC parties, `fl_edge.service`
one for the runs of a composite's SuperLink.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.request import SignedRequest
from datatoken.service.assets.models import Id, RunState
from datatoken.types import Address, Hex32, MessageKind, Model, Scalar

EVENTS, LOG, RESULTS = "events.jsonl", "engine.log", "results"
"""What a run's folder holds, whatever the engine."""


class Run(Model):
    """One asset's part of a run; `id` is the first half of the request's digest."""

    id: Id
    job: Hex32
    request: Hex32
    asset: Hex32


@dataclass(frozen=True)
class Question:
    """What the asset's gate is asked before anything is spawned.

    Attributes
    ----------
    readers : frozenset of Address
        Who may fetch the results that the run leaves at this service.
    announce : bool
        Whether the gate allows it only after the asset's owner, as that of a composite, has
        announced the request on the chain.
    """

    bundle: Hex32
    artefact: Hex32
    kind: MessageKind
    parameters: Mapping[str, Scalar]
    installed: Mapping[str, str] = field(default_factory=dict)
    readers: frozenset[Address] = frozenset()
    announce: bool = False


class Status(Model):
    """What a run says of itself; a run that died says nothing more, see `RunDesk`.

    Attributes
    ----------
    sentence : str
        Why it ended; empty where only the operation's own text would say it.
    """

    state: RunState
    reason: str = ""
    sentence: str = ""
    stage: int = 0
    stages: int = 0
    peers: dict[Hex32, str] = {}


class Executor(Protocol):
    """Starts one engine's parties, each in a process group of its own."""

    engine: str

    def isolation(self) -> Sequence[str]:
        """Return what keeps operations inside on this machine, and what is missing."""
        ...

    def question(self, gatekeeper: Gatekeeper, run: Run, signed: SignedRequest) -> Question:
        """Return what the gate is to be asked; raise `Refused` when there is nothing to ask."""
        ...

    def command(self, run: Run) -> Sequence[str]:
        """Return the command line of the party's process."""
        ...

    def environment(self, run: Run) -> Mapping[str, str]:
        """Return the whole environment of the party's process: no secret is in it."""
        ...

    def folder(self, run: Run) -> Path:
        """Return the run's folder; it holds `EVENTS`, `LOG` and `RESULTS`."""
        ...

    def status(self, run: Run) -> Status | None:
        """Return what the run has said last, or None when it has said nothing yet."""
        ...
