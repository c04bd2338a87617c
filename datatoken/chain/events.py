"""Events of the contracts as frozen dataclasses, and their decoding with eth_abi.

Class and field names are the contracts' own, fields in snake case; ids and digests are
lower-case hex with 0x.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError

from datatoken.chain.artifacts import CONTRACT_NAMES, AbiEntry, load_artifact
from datatoken.errors import ChainUnreachableError
from datatoken.types import Address, Hex32

_MILLISECONDS_ABOVE = 10**11


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


def snake(name: str) -> str:
    """Return a contract's camelCase name in snake case."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


@dataclass(frozen=True)
class _Decoder:
    kind: type[Event]
    indexed: tuple[tuple[str, str], ...]
    data: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, entry: AbiEntry, kind: type[Event]) -> "_Decoder":
        fields = [
            (snake(str(parameter["name"])), type_, bool(parameter["indexed"]))
            for parameter, type_ in zip(entry.inputs, entry.input_types, strict=True)
        ]
        return cls(
            kind,
            tuple((name, type_) for name, type_, indexed in fields if indexed),
            tuple((name, type_) for name, type_, indexed in fields if not indexed),
        )


@lru_cache(maxsize=1)
def _decoders() -> dict[str, _Decoder]:
    found: dict[str, _Decoder] = {}
    for contract in CONTRACT_NAMES:
        for entry in load_artifact(contract).of_kind("event"):
            kind = EVENTS.get(entry.name)
            if kind is not None:
                found["0x" + entry.topic.hex()] = _Decoder.of(entry, kind)
    return found


def topic_of(kind: type[Event]) -> str:
    """Return the first topic of an event."""
    return next(topic for topic, decoder in _decoders().items() if decoder.kind is kind)


def indexed_fields(kind: type[Event]) -> tuple[str, ...]:
    """Return the names of an event's indexed fields, in the order of its topics."""
    return tuple(name for name, _ in _decoders()[topic_of(kind)].indexed)


def _plain(value: Any) -> Any:  # noqa: ANN401
    return "0x" + value.hex() if isinstance(value, bytes) else value


def decode_log(log: Mapping[str, Any]) -> Event | None:
    """Decode one log of a node's answer; None for an event that is not ours.

    Raises
    ------
    ChainUnreachableError
        When the log is malformed.
    """
    try:
        decoder = _decoders().get(log["topics"][0] if log["topics"] else "")
        if decoder is None:
            return None
        values: dict[str, Any] = {}
        for (name, type_), topic in zip(decoder.indexed, log["topics"][1:], strict=True):
            values[name] = _plain(decode([type_], bytes.fromhex(topic[2:]))[0])
        types = [type_ for _, type_ in decoder.data]
        answer = decode(types, bytes.fromhex(log["data"][2:])) if types else ()
        for (name, _), value in zip(decoder.data, answer, strict=True):
            values[name] = _plain(value)
        return decoder.kind(
            contract=str(log["address"]).lower(),
            block_number=int(log["blockNumber"], 16),
            block_hash=str(log["blockHash"]),
            tx_hash=str(log["transactionHash"]),
            log_index=int(log["logIndex"], 16),
            time=_time(log.get("blockTimestamp")),
            **values,
        )
    except (DecodingError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ChainUnreachableError("The chain answered with a malformed event.") from error


def _time(value: object) -> int | None:
    if value is None:
        return None
    time = int(value, 16) if isinstance(value, str) else int(str(value))
    return time // 1000 if time > _MILLISECONDS_ABOVE else time
