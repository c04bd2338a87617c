"""The server's side of a simulated run: nodes in a fixed order, each round asked for first."""

import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from flwr.app import Message
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.superlink.grid import InMemoryGrid

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import RunFailedError
from fl_edge.simulation.records import make_portable
from fl_edge.simulation.rounds import Desk, kind_of
from fl_edge.simulation.signals import PATIENCE, Signals
from fl_edge.superlink.gate import Outgoing

START_SECONDS = 300.0
STORING = 0.002


class Nodes:
    """Simulated nodes in the order of their clients; known once the engine has made them.

    Parameters
    ----------
    signals : Signals
    """

    def __init__(self, signals: Signals) -> None:
        self._order: dict[int, int] = {}
        self._signals = signals

    def set(self, clients: dict[int, int]) -> None:
        """Take over the client of each node."""
        self._order = dict(clients)
        self._signals.started()

    def ids(self) -> list[int]:
        """Return all nodes in order; wait until they are there."""
        there = self._signals.wait_for_start(START_SECONDS)
        self._signals.check()
        if not there:
            raise RunFailedError("The simulation engine has not made its nodes.")
        return sorted(self._order, key=self._order.__getitem__)

    def place(self, node: int) -> int:
        """Return the client of a node."""
        return self._order.get(node, -1)


class SimulationGrid(InMemoryGrid):
    """flwr's grid in memory; a round leaves only when it is let out.

    Nodes and replies come in the order of the clients: with a seed, a run can be repeated. Once
    the engine has stopped, every call raises `RunFailedError`.

    Parameters
    ----------
    state_factory : LinkStateFactory
    nodes : Nodes
    signals : Signals
        By which messages and replies of a governed run are told of.
    desk : Desk, optional
        Lets rounds out. None for a bare run, which looks every tenth of a second, as flwr does.
    leaving : callable
        Called with what is sent at once, before it leaves.
    """

    def __init__(
        self,
        state_factory: LinkStateFactory,
        nodes: Nodes,
        signals: Signals,
        desk: Desk | None,
        leaving: Callable[[list[Outgoing]], None],
    ) -> None:
        super().__init__(state_factory)
        self._nodes, self._signals, self._desk, self._leaving = nodes, signals, desk, leaving

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes in the order of their clients."""
        return self._nodes.ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Ask for the round, then send it; raise `Refused` and send nothing."""
        self._signals.check()
        found = list(messages)
        if not found:
            return []
        if self._desk is None:
            self._leave(found, list(self._outgoing(found)))
            return super().push_messages(found)
        numbers, outgoing = self._desk.release(self._outgoing(found))
        self._leave(found, outgoing)
        rounds = self._desk.rounds
        with rounds.lock:
            ids = list(super().push_messages(found))
            stored = set(ids)
            for number, message, one in zip(numbers, found, outgoing, strict=True):
                if message.metadata.message_id in stored:
                    rounds.sent(number, message.metadata.message_id, one)
        self._signals.pushed(max(Counter(one.node for one in outgoing).values()))
        return ids

    def _leave(self, messages: list[Message], outgoing: list[Outgoing]) -> None:
        self._leaving(outgoing)
        for content in {id(m.content): m.content for m in messages if m.has_content()}.values():
            make_portable(content)

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        """Return the replies that are there."""
        self._signals.check()
        found = list(super().pull_messages(message_ids))
        self._signals.taken(reply.metadata.reply_to_message_id for reply in found)
        return found

    def _outgoing(self, messages: list[Message]) -> Iterator[Outgoing]:
        """Yield messages as a SuperLink sees them: equal content has one and the same id."""
        push, run, contents = secrets.token_hex(8), self.run.run_id, dict[int, str]()
        for message in messages:
            metadata, content = message.metadata, ""
            if self._desk is not None and message.has_content():
                held = message.content
                content = contents.get(id(held)) or contents.setdefault(id(held), held.object_id)
            kind = kind_of(metadata.message_type)
            if metadata.dst_node_id == SUPERLINK_NODE_ID:
                raise Refused(Reason.RUN_NOT_ACCEPTED, "A ServerApp sends messages to nodes only.")
            yield Outgoing(run, kind, push, content, metadata.dst_node_id)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send a round; return the replies in the order of the clients."""
        if self._desk is None:
            found = super().send_and_receive(messages, timeout=timeout)
        else:
            found = self._exchange(messages, timeout)
        return sorted(found, key=lambda reply: self._nodes.place(reply.metadata.src_node_id))

    def _exchange(self, messages: Iterable[Message], timeout: float | None) -> list[Message]:
        """Send, and look for replies once all are there or `PATIENCE` is over."""
        ends = None if timeout is None else time.monotonic() + timeout
        waiting = set(self.push_messages(messages))
        found: list[Message] = []
        pause = STORING
        while waiting and (ends is None or time.monotonic() < ends):
            left = PATIENCE if ends is None else min(PATIENCE, ends - time.monotonic())
            if not self._signals.wait_for_answers(waiting, left):
                # The last replies are on their way into flwr's state, which may also refuse them.
                time.sleep(min(pause, left))
                pause = min(2 * pause, PATIENCE)
            replies = list(self.pull_messages(waiting))
            found += replies
            waiting -= {reply.metadata.reply_to_message_id for reply in replies}
        return found
