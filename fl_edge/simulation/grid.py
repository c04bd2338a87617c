"""The server's side of a simulated run: nodes in a fixed order, each round asked for first."""

import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable

from flwr.app import Message
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.superlink.grid import InMemoryGrid

from datatoken.errors import RunFailedError
from datatoken.types import MessageKind
from fl_edge.simulation.records import make_portable
from fl_edge.simulation.signals import PATIENCE, Signals
from fl_edge.superlink.gate import Outgoing

START_SECONDS = 300.0
STORING = 0.002
Release = Callable[[list[Outgoing]], None]


class Nodes:
    """Simulated nodes in the order of their clients; known once the engine has made them."""

    def __init__(self) -> None:
        self._order: dict[int, int] = {}
        self._known = threading.Event()

    def set(self, clients: dict[int, int]) -> None:
        """Take over the client of each node."""
        self._order = dict(clients)
        self._known.set()

    def ids(self) -> list[int]:
        """Return all nodes in order; wait until they are there."""
        if not self._known.wait(START_SECONDS):
            raise RunFailedError("The simulation engine has not made its nodes.")
        return sorted(self._order, key=self._order.__getitem__)

    def place(self, node: int) -> int:
        """Return the client of a node."""
        return self._order.get(node, -1)


class SimulationGrid(InMemoryGrid):
    """flwr's grid in memory; a round leaves only after `release`.

    Nodes and replies come in the order of the clients: with a seed, a run can be repeated.

    Parameters
    ----------
    state_factory : LinkStateFactory
    nodes : Nodes
    release : callable
        Called with each round before it leaves.
    signals : Signals, optional
        By which messages and replies are told of. Without, they are looked for every tenth of a
        second, as by flwr.
    """

    def __init__(
        self,
        state_factory: LinkStateFactory,
        nodes: Nodes,
        release: Release,
        signals: Signals | None = None,
    ) -> None:
        super().__init__(state_factory)
        self._nodes, self._release, self._signals = nodes, release, signals

    def get_node_ids(self) -> Iterable[int]:
        """Return the nodes in the order of their clients."""
        return self._nodes.ids()

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        """Ask for the round, then send it; raise `Refused` and send nothing."""
        found, push = list(messages), secrets.token_hex(8)
        if found:
            self._release([self._outgoing(message, push) for message in found])
        for content in {id(m.content): m.content for m in found if m.has_content()}.values():
            make_portable(content)
        ids = list(super().push_messages(found))
        if self._signals is not None and found:
            each = Counter(message.metadata.dst_node_id for message in found)
            self._signals.pushed(max(each.values()))
        return ids

    def _outgoing(self, message: Message, push: str) -> Outgoing:
        metadata = message.metadata
        kind = MessageKind(metadata.message_type.partition(".")[0])
        # Two pushes never share content here: each of them is a round of its own.
        return Outgoing(self.run.run_id, kind, push, push, metadata.dst_node_id)

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        """Send a round; return the replies in the order of the clients."""
        if self._signals is None:
            found = super().send_and_receive(messages, timeout=timeout)
        else:
            found = self._exchange(self._signals, messages, timeout)
        return sorted(found, key=lambda reply: self._nodes.place(reply.metadata.src_node_id))

    def _exchange(
        self, signals: Signals, messages: Iterable[Message], timeout: float | None
    ) -> list[Message]:
        """Send, and look for replies once all are there or `PATIENCE` is over."""
        ends = None if timeout is None else time.monotonic() + timeout
        before = signals.answers
        waiting = set(self.push_messages(messages))
        everybody = before + len(waiting)
        found: list[Message] = []
        while waiting and (ends is None or time.monotonic() < ends):
            left = PATIENCE if ends is None else min(PATIENCE, ends - time.monotonic())
            if signals.answers < everybody:
                signals.wait_for_answers(everybody, left)
            else:
                time.sleep(STORING)  # the last replies are on their way into flwr's state
            replies = list(self.pull_messages(waiting))
            found += replies
            waiting -= {reply.metadata.reply_to_message_id for reply in replies}
        return found
