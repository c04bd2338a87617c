"""What a decision may look at: the chain at one block, the verified documents, the own history.

Everything here is a frozen value. Reading it from a chain, a store or a disk is the
caller's work; see `datatoken.chain.reader` and `datatoken.authorization.history`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from datatoken.types import ZERO32, Address, Hex32, JobStatus, MessageKind


@dataclass(frozen=True, slots=True)
class Network:
    """The chain and the contracts that an owner trusts, from its own configuration."""

    chain_id: int
    institutions: Address
    operations: Address
    tokens: Address
    market: Address
    log: Address
    view: Address


@dataclass(frozen=True, slots=True)
class Record:
    """On-chain record of a DT. `owner_active` is false once its owner was removed."""

    owner: Address
    kind: int
    children: int
    minted_at: int
    salt: int
    proof: Hex32
    ddo: Hex32
    owner_active: bool = True

    @property
    def exists(self) -> bool:
        """Tell whether the DT was minted."""
        return int(self.owner, 16) != 0


@dataclass(frozen=True, slots=True)
class Grant:
    """One grant slot. `expiry` 0: none; `max_rounds` 0: no limit."""

    expiry: int = 0
    max_rounds: int = 0
    epoch: int = 0
    children: int = 0
    active: bool = False

    @classmethod
    def from_word(cls, word: int) -> "Grant":
        """Unpack the 256-bit word of `DataTokenRegistry.grantWord`."""
        return cls(
            expiry=word & (2**64 - 1),
            max_rounds=(word >> 64) & (2**32 - 1),
            epoch=(word >> 96) & (2**32 - 1),
            children=(word >> 128) & (2**16 - 1),
            active=bool((word >> 144) & 1),
        )


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """On-chain record of an operation."""

    bundle: Hex32
    metadata: Hex32
    publisher: Address
    kind: int
    retired: bool

    @property
    def exists(self) -> bool:
        """Tell whether the operation was registered."""
        return self.bundle != ZERO32


@dataclass(frozen=True, slots=True)
class Job:
    """A job of the task market, with what the chain says of its task and guarantor."""

    id: Hex32
    status: JobStatus
    task: int
    task_open: bool
    guarantor: Address
    guarantor_registered: bool
    recorder: Address
    posted_at: int
    algorithm: Hex32


@dataclass(frozen=True, slots=True)
class Check:
    """The one read of a gate whose counter has not moved (`AuthorizationView.check`)."""

    counter: int
    status: JobStatus
    head: str
    round: int
    block_number: int
    time: int


@dataclass(frozen=True, slots=True)
class ChainState:
    """Everything read from the chain at one block (`AuthorizationView.snapshot`).

    `grants` is keyed by (parent, child); `announcements` by composite DT, with the
    digest of the announced compute request or `ZERO32`. `time` is in seconds.
    """

    chain_id: int
    block_number: int
    time: int
    counter: int
    job: Job
    head: str
    round: int
    records: Mapping[Hex32, Record]
    grants: Mapping[tuple[Hex32, Hex32], Grant]
    announcements: Mapping[Hex32, Hex32]
    operations: Mapping[Hex32, OperationRecord]


@dataclass(frozen=True, slots=True)
class RoundGroup:
    """Receipts that belong to one round: distinct members under one (run, kind, input)."""

    request: Hex32
    run: str
    kind: MessageKind
    input: Hex32
    members: frozenset[Hex32]


@dataclass(frozen=True, slots=True)
class LogState:
    """The recorder's log, verified against the on-chain head up to `round`.

    `groups` is in the order of first appearance; `included` holds receipt digests.
    """

    head: str = "0x" + "0" * 56
    round: int = 0
    groups: tuple[RoundGroup, ...] = ()
    included: frozenset[Hex32] = frozenset()


EdgeKey = tuple[Hex32, Hex32, int, MessageKind]
"""(parent, child, epoch, kind): what rounds are counted under."""


@dataclass(frozen=True, slots=True)
class History:
    """What this owner has seen and done before, from its own disk.

    `counts` are messages that ran code, over all jobs and runs. `pinned_run` is the run
    that the request at hand already started, if any. `receipts` are the digests of all
    receipts issued under the job at hand; `acknowledged` those with a signed acknowledgement.
    """

    last_block: int = 0
    counts: Mapping[EdgeKey, int] = field(default_factory=dict)
    pinned_run: str | None = None
    receipts: frozenset[Hex32] = frozenset()
    acknowledged: frozenset[Hex32] = frozenset()
