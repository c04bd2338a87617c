"""What a decision is asked, what it may look at, and what it answers."""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization.request import SignedRequest
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import ChainState, EdgeKey, History, LogState, Network
from datatoken.ddo.operation import OperationDocument, ReplyPolicy
from datatoken.types import Hex32, MessageKind, Scalar


@dataclass(frozen=True)
class View:
    """Everything that a decision may look at.

    `operations` are documents of registered operations that hash to their records (the
    decision checks it again, see `_operation`).
    """

    network: Network
    state: ChainState
    tree: VerifiedTree
    operations: Mapping[Hex32, OperationDocument]
    request: SignedRequest | None
    log: LogState
    history: History


@dataclass(frozen=True)
class Ask:
    """What is about to run, as the edge has derived it from bytes.

    Attributes
    ----------
    bundle : Hex32
        sha256 of the operation's exact bytes; `artefact` of the whole artefact (the FAB).
    parameters : mapping
        Effective run configuration: the artefact's defaults and the overrides.
    records : mapping
        Configuration records of the message, by name.
    installed : mapping
        Distribution → installed version, for the operation's lock.
    run : str
        The engine's run id.
    now : int
        The owner's own clock, in seconds; `clock_bound` how far chain time may be off.
    all_required : bool
        Whether every participant must still grant, whatever the terms say (MPC).
    """

    job: Hex32
    asset: Hex32
    bundle: Hex32
    artefact: Hex32
    kind: MessageKind
    parameters: Mapping[str, Scalar]
    records: Mapping[str, Mapping[str, Scalar]]
    installed: Mapping[str, str]
    run: str
    now: int
    clock_bound: int = 120
    all_required: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission for one message. The holder counts `edges` before the message is run."""

    job: Hex32
    request: Hex32
    run: str
    asset: Hex32
    path: tuple[Hex32, ...]
    operation: Hex32
    kind: MessageKind
    edges: tuple[EdgeKey, ...]
    sequence: int
    replies: ReplyPolicy
    head: str
    round: int
    block_number: int
    counter: int
