"""Reads events from where it stopped last time: windows, a cursor on disk, no event twice."""

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datatoken.authorization.view import Network
from datatoken.chain.event_codec import decode_log, encode_topic, topic_of
from datatoken.chain.event_types import (
    EVENTS,
    Event,
    Granted,
    GuarantorNamed,
    InstitutionAdded,
    InstitutionRemoved,
    JobAnnounced,
    JobClosed,
    JobPaused,
    JobPosted,
    JobReopened,
    OperationRegistered,
    OperationRetired,
    OwnershipTransferred,
    OwnershipTransferStarted,
    Revoked,
    RoundLogged,
    TaskClosed,
    TaskCreated,
    TokenMinted,
    UserEnrolled,
    UserRemoved,
)
from datatoken.chain.pinning import parse_block
from datatoken.chain.profiles import BUILT_IN, NetworkProfile
from datatoken.chain.rpc import ReplyLimitError, Rpc, RpcError
from datatoken.errors import BadInputError, ChainUnreachableError, LocalEnvironmentError

if TYPE_CHECKING:
    from datatoken.chain.deployment import Deployment

__all__ = [
    "EVENTS",
    "Event",
    "EventReader",
    "Granted",
    "GuarantorNamed",
    "InstitutionAdded",
    "InstitutionRemoved",
    "JobAnnounced",
    "JobClosed",
    "JobPaused",
    "JobPosted",
    "JobReopened",
    "OperationRegistered",
    "OperationRetired",
    "OwnershipTransferStarted",
    "OwnershipTransferred",
    "Revoked",
    "RoundLogged",
    "TaskClosed",
    "TaskCreated",
    "TokenMinted",
    "UserEnrolled",
    "UserRemoved",
]

_EMITTERS = ("institutions", "operations", "tokens", "market", "log")


class EventReader:
    """Reads the contracts' events in order, each one once.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    deployment : Deployment or Network
        The contracts; a deployment also says at which block to start.
    cursor_path : Path, optional
        File that remembers how far the reading went (`commit` writes it).
    profile : NetworkProfile, optional
        The chain's rules; by default those of the deployment.
    """

    def __init__(
        self,
        rpc: Rpc,
        deployment: "Deployment | Network",
        cursor_path: Path | None = None,
        *,
        profile: NetworkProfile | None = None,
    ) -> None:
        self.rpc = rpc
        if isinstance(deployment, Network):
            self._network, self._first = deployment, 0
            self._profile = profile or BUILT_IN["anvil"]
        else:
            self._network, self._first = deployment.network(), deployment.block
            self._profile = profile or deployment.network_profile()
        self._addresses = [getattr(self._network, name) for name in _EMITTERS]
        self._path = cursor_path
        self._next = self._first
        self._seen: dict[tuple[str, int], int] = {}
        self._verified = False
        if cursor_path is not None:
            self._load(cursor_path)

    @property
    def next_block(self) -> int:
        """Block at which the next `read` starts."""
        return self._next

    def read(self, *kinds: type[Event]) -> tuple[Event, ...]:
        """Return all events since the last read, up to the newest final block.

        After a crash before `commit` the same events come again (they have an `event_id`).

        Parameters
        ----------
        *kinds : type[Event]
            Kinds to return; all of them where none is named.

        Raises
        ------
        ChainUnreachableError
            When no endpoint answers; the position stays where it was.
        """
        last = self.final_block()
        start = max(self._first, self._next - self._profile.reorg_overlap)
        found = [
            event
            for event in self._scan(start, last, self._topics(kinds))
            if event.event_id not in self._seen
        ]
        if last >= self._next:  # a node that lags behind must not set us back
            self._next = last + 1
        self._seen.update((event.event_id, event.block_number) for event in found)
        oldest = self._next - self._profile.reorg_overlap
        self._seen = {key: block for key, block in self._seen.items() if block >= oldest}
        return tuple(found)

    def history(
        self,
        *kinds: type[Event],
        start: int | None = None,
        end: int | None = None,
        **indexed: str | int,
    ) -> tuple[Event, ...]:
        """Return past events without touching the cursor.

        Parameters
        ----------
        *kinds : type[Event]
            Kinds to return; all of them where none is named.
        start, end : int, optional
            First and last block; by default from the deployment to the newest final one.
        **indexed : str or int
            Values of indexed fields, for one kind: `history(Granted, child=dt)`.
        """
        if indexed and len(kinds) != 1:
            raise BadInputError("Name one kind of event to select by its fields.")
        topics = self._topics(kinds)
        for name, value in indexed.items():
            index, topic = encode_topic(kinds[0], name, value)
            topics += [None] * (index + 1 - len(topics))
            topics[index] = topic
        first = self._first if start is None else start
        last = self.final_block() if end is None else end
        return tuple(self._scan(first, last, topics))

    def commit(self) -> None:
        """Write the position to the cursor file: what was read is dealt with.

        Raises
        ------
        LocalEnvironmentError
            When the file cannot be written.
        """
        if self._path is None:
            return
        content = {
            "deployment": self._identity(),
            "next_block": self._next,
            "seen": [[*key, block] for key, block in self._seen.items()],
        }
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=self._path.parent, prefix=self._path.name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(content, file)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(self._path)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The cursor file {self._path} cannot be written: {error.strerror}."
            ) from error

    def final_block(self) -> int:
        """Return the newest block that is final by the profile's rule (chain id checked)."""
        if not self._verified:
            self.rpc.verify_chain(self._network.chain_id)
            self._verified = True
        if self._profile.finality == "latest":
            return self.rpc.block_number() - self._profile.confirmations
        block = self.rpc.request("eth_getBlockByNumber", [self._profile.finality, False])
        return parse_block(block).number

    def _topics(self, kinds: Sequence[type[Event]]) -> list[Any]:
        return [[topic_of(kind) for kind in kinds]] if kinds else []

    def _scan(self, start: int, end: int, topics: Sequence[Any]) -> Iterator[Event]:
        """Walk through windows; halve one that the node finds too large, then grow again."""
        window = self._profile.log_window
        while start <= end:
            last = min(start + window - 1, end)
            try:
                logs = self._logs(start, last, topics)
            except (RpcError, ReplyLimitError):
                if window == 1:
                    raise
                window = max(1, min(window, end - start + 1) // 2)
                continue
            yield from _in_order(logs)
            start = last + 1
            window = min(window * 2, self._profile.log_window)

    def _logs(self, start: int, end: int, topics: Sequence[Any]) -> Sequence[Mapping[str, Any]]:
        query: dict[str, Any] = {
            "address": self._addresses,
            "fromBlock": hex(start),
            "toBlock": hex(end),
        }
        if topics:
            query["topics"] = list(topics)
        logs = self.rpc.request("eth_getLogs", [query])
        if not isinstance(logs, list) or not all(isinstance(log, dict) for log in logs):
            raise ChainUnreachableError("The chain answered eth_getLogs with something else.")
        return logs

    def _identity(self) -> str:
        return f"{self._network.chain_id}:{self._network.tokens}:{self._network.market}"

    def _load(self, path: Path) -> None:
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            identity = content["deployment"]
            self._next = int(content["next_block"])
            self._seen = {(str(a), int(b)): int(block) for a, b, block in content["seen"]}
        except (FileNotFoundError, NotADirectoryError):
            return
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise BadInputError(
                f"{path} is not a cursor file.", "Delete it to read from the first block again."
            ) from error
        if identity != self._identity():
            raise BadInputError(
                f"The cursor file {path} belongs to another deployment.",
                "Delete it to read this deployment from its first block.",
            )


def _in_order(logs: Sequence[Mapping[str, Any]]) -> Iterator[Event]:
    """Decode logs, each once, by block and position."""
    found: dict[tuple[str, int], Event] = {}
    for log in logs:
        event = None if log.get("removed") else decode_log(log)
        if event is not None:
            found[event.event_id] = event
    yield from sorted(found.values(), key=lambda event: (event.block_number, event.log_index))
