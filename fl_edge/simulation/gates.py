"""The gates of all simulated owners in one process: one decision core, one bulk read a round.

A real gate reads the chain for each message. Here the chain is read once for a round, at the
moment that the server sends it, and every owner decides on a view of its own cut out of that.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, replace

from flwr.app import Error, Message, RecordDict
from flwr.common.constant import ErrorCode

from datatoken.authorization.decision import Ask, Lease, View, authorize
from datatoken.authorization.gate import Reader
from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import ChainState, LogState
from datatoken.types import ZERO32, Hex32, MessageKind, Scalar
from fl_edge.messages import Content, check_reply
from fl_edge.simulation.facts import Facts
from fl_edge.simulation.owner import Owner, Seat
from fl_edge.simulation.records import read_records
from fl_edge.supernode.exchange import records_of
from fl_edge.supernode.refusals import public_text, refusal_of


@dataclass(frozen=True, slots=True)
class Refusal:
    """One message that one simulated owner has refused, or whose reply it kept."""

    round: int
    kind: MessageKind
    client: int
    dt: Hex32
    reason: Reason
    message: str


@dataclass(frozen=True, slots=True)
class _Asked:
    """A request's content, read once for all who get the same; `source` keeps its id alive."""

    source: RecordDict
    outline: Content
    records: Mapping[str, Mapping[str, Scalar]]


class ClientGates:
    """Decides for every simulated owner.

    Parameters
    ----------
    facts : Facts
    clients : int
        Client `i` stands for the owner of leaf `i`, counted around where there are more
        clients than leaves; each has a memory of its own.
    reader : Reader
    run : str
        The simulated run's id.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(
        self,
        facts: Facts,
        clients: int,
        reader: Reader,
        run: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.facts, self.refusals = facts, list[Refusal]()
        self._reader, self._run, self._clock = reader, run, clock
        seats = [Seat.of(facts, leaf) for leaf in facts.leaves[:clients]]
        self.owners = [Owner(seats[client % len(seats)]) for client in range(clients)]
        self._edges = [(facts.tree.algorithm, ZERO32)]
        self._edges += [(child, parent) for parent, child in facts.tree.edges()]
        self._lock = threading.Lock()
        self._state: ChainState | None = None
        self._fresh, self._now, self._round = False, 0, 0
        self._asked: dict[int, _Asked] = {}
        self._allowed: dict[Hashable, Lease] = {}

    def look(self) -> None:
        """Read the chain for the next round, in bulk where anything has changed.

        Raises
        ------
        Refused
            The chain is out of reach: nobody can decide.
        """
        with self._lock, as_refusals():
            self._round += 1
            self._asked.clear()
            self._allowed.clear()
            self._fresh = False
            if self._state is None:
                self._read()
                return
            check = self._reader.check(self.facts.job)
            if check.counter != self._state.counter:
                self._read()
                return
            self._now = int(self._clock())
            self._state = replace(
                self._state,
                job=replace(self._state.job, status=check.status),
                head=check.head,
                round=check.round,
                block_number=check.block_number,
                time=check.time,
            )

    def _read(self) -> None:
        self._state = self._reader.snapshot(self.facts.job, self._edges, list(self.facts.named))
        self._now, self._fresh = int(self._clock()), True

    def admit(self, client: int, message: Message) -> Lease:
        """Decide on one message to one client, and count it.

        Raises
        ------
        Refused
            It is noted as well.
        """
        kind = MessageKind(message.metadata.message_type.partition(".")[0])
        try:
            asked = self._read_request(message.content)
            lease = self._decide(client, kind, asked)
        except Exception as error:  # as a real gate: what can't be read is refused
            refusal = refusal_of(error)
            self._note(client, kind, refusal)
            raise refusal from error
        self.owners[client].count(lease)
        return lease

    def inspect(self, client: int, lease: Lease, request: Message, reply: Message) -> None:
        """Hold a reply against the policy of its operation.

        Raises
        ------
        Refused
            It would not leave its owner's side; noted as well.
        """
        if reply.has_error():
            return
        try:
            asked = self._read_request(request.content)
            found = read_records(reply.content)
            check_reply(lease.replies, lease.kind, asked.outline, found)
        except Exception as error:
            refusal = refusal_of(error)
            self._note(client, lease.kind, refusal)
            raise refusal from error

    def _decide(self, client: int, kind: MessageKind, asked: _Asked) -> Lease:
        owner, state = self.owners[client], self._state
        assert state is not None, "look() comes first"
        likeness = (owner.likeness(state, kind), id(asked))
        found = self._allowed.get(likeness)
        if found is not None:
            return owner.like(found, found.asset)
        fresh = self._fresh
        try:
            lease = self._authorize(owner, state, kind, asked)
        except Refused:
            if fresh:
                raise
            lease = self._authorize(owner, self._again(), kind, asked)
        else:
            self._allowed[likeness] = lease
        return lease

    def _again(self) -> ChainState:
        """Look once more before refusing: added permissions do not move the counter."""
        with self._lock, as_refusals():
            if not self._fresh:
                self._read()
                self._allowed.clear()
            assert self._state is not None
            return self._state

    def _authorize(
        self, owner: Owner, state: ChainState, kind: MessageKind, asked: _Asked
    ) -> Lease:
        facts, seat = self.facts, owner.seat
        view = View(
            network=facts.network,
            state=state,
            tree=seat.tree,
            operations=facts.operations,
            request=facts.request,
            # A simulation leaves no receipts: the recorder is taken to be up to date.
            log=LogState(head=state.head, round=state.round),
            history=owner.history,
        )
        ask = Ask(
            job=facts.job,
            asset=seat.leaf,
            bundle=seat.bundle,
            artefact=facts.artefact,
            kind=kind,
            parameters=facts.parameters,
            records=asked.records,
            installed=facts.installed,
            run=self._run,
            now=self._now,
        )
        return authorize(view, ask)

    def _read_request(self, content: RecordDict) -> _Asked:
        found = self._asked.get(id(content))
        if found is None:
            read = read_records(content)
            found = _Asked(content, read.outline(), records_of(read))
            self._asked[id(content)] = found
        return found

    def _note(self, client: int, kind: MessageKind, refusal: Refused) -> None:
        owner = self.owners[client]
        said = Refusal(self._round, kind, client, owner.seat.leaf, refusal.reason, refusal.message)
        with self._lock:
            self.refusals.append(said)


def refused_reply(refusal: Refused, request: Message) -> Message:
    """Return what a server is sent in place of a reply; as a real gate's, in memory."""
    return Message(Error(int(ErrorCode.INVALID_FAB), public_text(refusal)), reply_to=request)
