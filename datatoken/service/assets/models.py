"""What goes over the wire between an asset service and those who ask it."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from datatoken.rounds.receipts import Delegation
from datatoken.types import Address, Hex32, Model, Seconds

Id = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{32}$")]
"""Of an authorization request or a run: 16 bytes, lower-case hex."""

FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$")]
Sentence = Annotated[str, Field(max_length=2000)]
Count = Annotated[int, Field(ge=0, lt=2**32)]
Domain = Literal["private", "federated"]


class PolicyMode(StrEnum):
    """What happens to a request that keeps to the owner's terms."""

    AUTO = "auto"
    """It is granted at once."""
    QUEUE = "queue"
    """It waits for a human."""
    REFUSE = "refuse"
    """Nobody gets a grant through this service."""


class AuthorizationState(StrEnum):
    """Where an authorization request is; the last two are final."""

    QUEUED = "queued"
    APPROVED = "approved"
    """The transaction is on its way."""
    GRANTED = "granted"
    REFUSED = "refused"


class AuthorizationAsk(Model):
    """Asks the owner of `child` to grant it to `parent`; signed by the parent's owner.

    Attributes
    ----------
    note : str
        For the human who decides; never evaluated.
    """

    child: Hex32
    parent: Hex32
    note: Annotated[str, Field(max_length=500)] = ""


class Authorization(Model):
    """An authorization request, as it stands.

    Attributes
    ----------
    why : str
        Of a refusal: one sentence.
    violations : list of str
        What breaks the terms, where that is why.
    standing : bool
        Whether the chain holds the grant now.
    """

    id: Id
    child: Hex32
    parent: Hex32
    requester: Address
    note: str = ""
    state: AuthorizationState
    why: Sentence = ""
    violations: list[str] = []
    expiry: Seconds = 0
    max_rounds: Count = 0
    asked: Seconds
    standing: bool = False


class Authorizations(Model):
    """Authorization requests, the newest first."""

    authorizations: list[Authorization]


class Approval(Model):
    """The owner's yes: a moment (0: no end) and messages of each kind (0: no limit)."""

    expiry: Seconds = 0
    max_rounds: Count = 0


class Refusal(Model):
    """The owner's no."""

    why: Annotated[str, Field(max_length=500)] = ""


class JobAsk(Model):
    """Asks to start this service's part of a job; signed by the algorithm's owner.

    Attributes
    ----------
    request : Hex32
        Digest of the signed compute request in the store.
    assets : list of Hex32
        The DTs that are meant; empty: all of this service's that have a position in the job.
    """

    job: Hex32
    request: Hex32
    assets: Annotated[list[Hex32], Field(max_length=64)] = []


class RunState(StrEnum):
    """Where an asset's run is; the last four are final."""

    STARTING = "starting"
    WAITING = "waiting"
    AUTHORISED = "authorised"
    AGREED = "agreed"
    RUNNING = "running"
    FINISHED = "finished"
    REFUSED = "refused"
    STOPPED = "stopped"
    FAILED = "failed"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self in (RunState.FINISHED, RunState.REFUSED, RunState.STOPPED, RunState.FAILED)


class Party(Model):
    """One asset's part of a run.

    Attributes
    ----------
    reason, sentence : str
        Why it ended, where it was not finished; what an operation has written stays with
        the asset's owner.
    peers : dict of Hex32 to str
        What this party knows of the others.
    """

    asset: Hex32
    state: RunState
    reason: str = ""
    sentence: Sentence = ""
    hint: Sentence = ""
    stage: Count = 0
    stages: Count = 0
    peers: dict[Hex32, str] = {}
    started: Seconds = 0
    ended: Seconds = 0


class JobRun(Model):
    """One run of a job at this service.

    Attributes
    ----------
    id : str
        The first half of the request's digest: one request starts one run.
    """

    id: Id
    job: Hex32
    request: Hex32
    requester: Address
    parties: list[Party]


class JobRuns(Model):
    """Runs, the newest first."""

    jobs: list[JobRun]


class Event(Model):
    """Something that happened in a run: its name, when, and numbers and codes about it."""

    time: Annotated[str, Field(max_length=40)] = ""
    event: Annotated[str, Field(max_length=64)]
    facts: dict[str, bool | int | float | str] = {}


class Events(Model):
    """A page of events; ask again from `next`. An empty page is the end so far."""

    events: list[Event]
    next: Annotated[int, Field(ge=0, lt=2**53)]


class ResultFile(Model):
    """A file of results."""

    name: FileName
    size: Annotated[int, Field(ge=0, lt=2**53)]
    sha256: Hex32


class Results(Model):
    """The files that the requester or the job's receivers may have."""

    results: list[ResultFile]


class CardAsset(Model):
    """An asset on the service's card.

    Attributes
    ----------
    delegation : Delegation
        The owner's word for the service's key: whoever holds the chain can check it.
    """

    dt: Hex32
    name: str = ""
    type: Literal["data", "compute", "algorithm"]
    owner: Address
    owner_name: str = ""
    policy: PolicyMode
    supported_ops: list[Hex32] = []
    delegation: Delegation


class Card(Model):
    """What a service says of itself; nothing of it is believed but what the chain confirms.

    Attributes
    ----------
    service : Address
        Its account: what calls are signed for.
    domain : {"private", "federated"}
        Whether rows are read here, or shares at most.
    isolation : list of str
        What keeps operations inside, and what this machine does not offer.
    """

    service: Address
    name: str
    domain: Domain
    engine: str
    version: str
    chain_id: int
    assets: list[CardAsset]
    isolation: list[str] = []
