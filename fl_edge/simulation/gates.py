"""The gates of all simulated owners in one process: one decision core, one bulk read a round.

A real gate reads the chain for each message. Here the chain is read once for a round, at the
moment that the server sends it, and every owner decides on a view of its own cut out of that.
"""

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace

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
from fl_edge.supernode.refusals import AppFailedError, public_text, refusal_of


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


@dataclass(slots=True)
class _Look:
    """The chain as one look has found it, and what was decided on that; never on another's."""

    state: ChainState
    now: int
    fresh: bool
    asked: dict[int, _Asked] = field(default_factory=dict)
    allowed: dict[Hashable, Lease] = field(default_factory=dict)


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
    number_of : callable
        Returns the round of a message, by its id.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(
        self,
        facts: Facts,
        clients: int,
        reader: Reader,
        run: str,
        number_of: Callable[[str], int] = lambda _: 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.facts, self.refusals = facts, list[Refusal]()
        self._reader, self._run, self._clock = reader, run, clock
        self._number_of = number_of
        seats = [Seat.of(facts, leaf) for leaf in facts.leaves[:clients]]
        self.owners = [Owner(seats[client % len(seats)]) for client in range(clients)]
        self._edges = [(facts.tree.algorithm, ZERO32)]
        self._edges += [(child, parent) for parent, child in facts.tree.edges()]
        self._lock = threading.Lock()
        self._look: _Look | None = None

    def look(self) -> None:
        """Read the chain for the next round, in bulk where anything has changed.

        Raises
        ------
        Refused
            The chain is out of reach: nobody can decide.
        """
        with self._lock, as_refusals():
            if self._look is None:
                self._look = self._read()
                return
            state, check = self._look.state, self._reader.check(self.facts.job)
            if check.counter != state.counter:
                self._look = self._read()
                return
            state = replace(
                state,
                job=replace(state.job, status=check.status),
                head=check.head,
                round=check.round,
                block_number=check.block_number,
                time=check.time,
            )
            self._look = _Look(state, int(self._clock()), fresh=False)

    def _read(self) -> _Look:
        state = self._reader.snapshot(self.facts.job, self._edges, list(self.facts.named))
        return _Look(state, int(self._clock()), fresh=True)

    def admit(self, client: int, message: Message) -> Lease:
        """Decide on one message to one client, and count it.

        Raises
        ------
        Refused
            It is noted as well.
        """
        kind = MessageKind(message.metadata.message_type.partition(".")[0])
        try:
            lease = self._decide(client, kind, message.content)
        except Exception as error:  # as a real gate: what can't be read is refused
            refusal = refusal_of(error)
            self._note(client, kind, message, refusal)
            raise refusal from error
        self.owners[client].count(lease)
        return lease

    def inspect(self, client: int, lease: Lease, request: Message, reply: Message) -> None:
        """Hold a reply against the policy of its operation.

        Raises
        ------
        Refused
            It would not leave its owner's side, or the app has failed; noted as well.
        """
        try:
            if reply.has_error():
                raise AppFailedError(reply.error)
            asked = _read_request(self._latest(), request.content)
            found = read_records(reply.content)
            check_reply(lease.replies, lease.kind, asked.outline, found)
        except Exception as error:
            refusal = refusal_of(error)
            self._note(client, lease.kind, request, refusal)
            raise refusal from error

    def _latest(self) -> _Look:
        assert self._look is not None, "look() comes first"
        return self._look

    def _decide(self, client: int, kind: MessageKind, content: RecordDict) -> Lease:
        owner, look = self.owners[client], self._latest()
        asked = _read_request(look, content)
        likeness = (owner.likeness(look.state, kind), id(asked.source))
        found = look.allowed.get(likeness)
        if found is not None:
            return owner.like(found, found.asset)
        try:
            lease = self._authorize(owner, look, kind, asked)
        except Refused:
            if look.fresh:
                raise
            lease = self._authorize(owner, self._again(), kind, asked)
        else:
            look.allowed[likeness] = lease
        return lease

    def _again(self) -> _Look:
        """Look once more before refusing: added permissions do not move the counter."""
        with self._lock, as_refusals():
            if not self._latest().fresh:
                self._look = self._read()
            return self._latest()

    def _authorize(self, owner: Owner, look: _Look, kind: MessageKind, asked: _Asked) -> Lease:
        facts, seat, state = self.facts, owner.seat, look.state
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
            now=look.now,
        )
        return authorize(view, ask)

    def _note(self, client: int, kind: MessageKind, message: Message, refusal: Refused) -> None:
        number, leaf = self._number_of(message.metadata.message_id), self.owners[client].seat.leaf
        # One append is one step: no lock, which a look at the chain may hold for long.
        self.refusals.append(Refusal(number, kind, client, leaf, refusal.reason, refusal.message))


def _read_request(look: _Look, content: RecordDict) -> _Asked:
    """Read a content once for a look; of two threads that come at once, both get the same."""
    found = look.asked.get(id(content))
    if found is None:
        read = read_records(content)
        found = _Asked(content, read.outline(), records_of(read))
        found = look.asked.setdefault(id(content), found)
    return found


def refused_reply(refusal: Refused, request: Message) -> Message:
    """Return what a server is sent in place of a reply; as a real gate's, in memory."""
    code = refusal.error_code if isinstance(refusal, AppFailedError) else ErrorCode.INVALID_FAB
    return Message(Error(int(code), public_text(refusal)), reply_to=request)
