"""The server's side of a simulated run: nodes in a fixed order, each round asked for first."""

import secrets
import threading
from collections.abc import Callable, Iterable

from flwr.app import Message
from flwr.server.superlink.linkstate import LinkStateFactory
from flwr.superlink.grid import InMemoryGrid

from datatoken.errors import RunFailedError
from datatoken.types import MessageKind
from fl_edge.simulation.records import make_portable
from fl_edge.superlink.gate import Outgoing

START_SECONDS = 300.0
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
    """

    def __init__(self, state_factory: LinkStateFactory, nodes: Nodes, release: Release) -> None:
        super().__init__(state_factory)
        self._nodes, self._release = nodes, release

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
        ids: Iterable[str] = super().push_messages(found)
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
        found = super().send_and_receive(messages, timeout=timeout)
        return sorted(found, key=lambda reply: self._nodes.place(reply.metadata.src_node_id))
