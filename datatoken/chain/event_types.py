"""Events of the contracts as frozen dataclasses.

Class and field names are the contracts' own, fields in snake case; ids and digests are
lower-case hex with 0x.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.types import Address, Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """What every event carries: where it is on the chain.

    Parameters
    ----------
    contract : Address
        Contract that emitted it.
    block_number : int
        Block that it is in.
    block_hash, tx_hash : Hex32
        Hashes of block and transaction.
    log_index : int
        Position within the block.
    time : int or None
        Time of the block in seconds, where the node says it with the event.
    """

    contract: Address
    block_number: int
    block_hash: Hex32
    tx_hash: Hex32
    log_index: int
    time: int | None = None

    @property
    def event_id(self) -> tuple[Hex32, int]:
        """What tells two events apart, however often they are read."""
        return self.block_hash, self.log_index


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipTransferStarted(Event):
    """The administrator named a successor, who must accept."""

    previous_owner: Address
    new_owner: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnershipTransferred(Event):
    """A contract has a new administrator."""

    previous_owner: Address
    new_owner: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionAdded(Event):
    """The administrator added an institution."""

    account: Address
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InstitutionRemoved(Event):
    """The administrator removed an institution."""

    account: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class UserEnrolled(Event):
    """An institution enrolled a user."""

    user: Address
    institution: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRemoved(Event):
    """An institution removed a user that it had enrolled."""

    user: Address
    institution: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRegistered(Event):
    """The administrator registered an operation."""

    id: Hex32
    bundle: Hex32
    publisher: Address
    metadata: Hex32
    kind: int
    name: str
    entry_point: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationRetired(Event):
    """The administrator retired an operation."""

    id: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenMinted(Event):
    """A DT was minted."""

    dt: Hex32
    owner: Address
    ddo: Hex32
    kind: int
    proof: Hex32
    children_hash: Hex32
    children: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted(Event):
    """The owner of `child` granted it to `parent`."""

    child: Hex32
    parent: Hex32
    owner: Address
    expiry: int
    max_rounds: int
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Revoked(Event):
    """The owner of `child` revoked its grant to `parent`; `epoch` is the new one."""

    child: Hex32
    parent: Hex32
    owner: Address
    epoch: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskCreated(Event):
    """A participant created a task."""

    id: int
    owner: Address
    description: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskClosed(Event):
    """The owner of a task closed it."""

    id: int
    owner: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class GuarantorNamed(Event):
    """An algorithm's owner named a guarantor, or took the name back."""

    algorithm: Hex32
    guarantor: Address
    named: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPosted(Event):
    """A guarantor posted an algorithm DT as a job."""

    job: Hex32
    algorithm: Hex32
    guarantor: Address
    task: int
    recorder: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class JobAnnounced(Event):
    """A composite's owner announced a compute request to those below it."""

    job: Hex32
    composite: Hex32
    request: Hex32


@dataclass(frozen=True, slots=True, kw_only=True)
class JobPaused(Event):
    """The guarantor paused a job."""

    job: Hex32
    by: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReopened(Event):
    """The guarantor reopened a job."""

    job: Hex32
    by: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class JobClosed(Event):
    """A job was closed for good."""

    job: Hex32
    by: Address


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundLogged(Event):
    """A sender appended a round to its log of a job."""

    job: Hex32
    sender: Address
    round: int
    head: str
    document: Hex32


EVENTS: Mapping[str, type[Event]] = {kind.__name__: kind for kind in Event.__subclasses__()}
"""Every event by name."""
