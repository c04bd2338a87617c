"""What a broken link must not cost a round: messages handed over again, nodes not given up.

flwr hands a message over once. When the answer is lost with the link, nobody has the message,
and its round waits for the time-out. But a node pulls only when it has nothing at hand: a message
that it has neither confirmed nor answered when it pulls again has never arrived. And flwr answers
for a node that was silent for 60 s; with its own time-outs and pauses, a node can be silent for
longer than that after a cut of 30 s.
"""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from logging import WARNING
from types import ModuleType
from typing import Any

from flwr.common.constant import HEARTBEAT_PATIENCE, Status
from flwr.supercore import log

MAX_TIMES = 5
GRACE_SECONDS = 120.0


@dataclass
class _Handed:
    """A message that was handed to a node, and how often."""

    message: str
    run: int
    response: Any
    times: int = 1


class Delivery:
    """Remembers what each node was handed, until the node shows that it has it."""

    def __init__(self) -> None:
        self._handed: dict[int, _Handed] = {}
        self._lock = threading.Lock()

    def install(self, fleet: ModuleType, states: list[type]) -> None:
        """Replace flwr's functions; their shape has been checked (`seams`)."""
        fleet.pull_messages = self._pull(fleet.pull_messages)  # type: ignore[attr-defined]
        fleet.confirm_message_received = self._confirm(  # type: ignore[attr-defined]
            fleet.confirm_message_received
        )
        for state in states:
            for name in ("activate_node", "acknowledge_node_heartbeat"):
                setattr(state, name, _patient(getattr(state, name)))

    def answered(self, message: str) -> None:
        """Note that a message has a reply: its node has had it."""
        with self._lock:
            for node, handed in list(self._handed.items()):
                if handed.message == message:
                    del self._handed[node]

    def _pull(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def pull_messages(request: Any, state: Any, store: Any) -> Any:
            node = request.node.node_id
            lost = self._lost(node, state)
            if lost is not None:
                return lost
            response = original(request, state, store)
            if response.messages_list:
                metadata = response.messages_list[0].metadata
                with self._lock:
                    self._handed[node] = _Handed(metadata.message_id, metadata.run_id, response)
            return response

        return pull_messages

    def _lost(self, node: int, state: Any) -> Any:
        """Return the message that has not arrived at a node; None: there is none."""
        with self._lock:
            handed = self._handed.get(node)
            if handed is None:
                return None
            runs = state.get_run_info(run_ids=[handed.run])
            running = any(run.status.status != Status.FINISHED for run in runs)
            if not running or handed.times >= MAX_TIMES:
                del self._handed[node]
                return None
            handed.times += 1
        log(WARNING, "Message %s… is handed to its node again.", handed.message[:12])
        return handed.response

    def _confirm(self, original: Callable[..., Any]) -> Callable[..., Any]:
        def confirm_message_received(request: Any, state: Any, store: Any) -> Any:
            self.answered(request.message_object_id)
            return original(request, state, store)

        return confirm_message_received


def _patient(original: Callable[..., Any]) -> Callable[..., Any]:
    least = GRACE_SECONDS / HEARTBEAT_PATIENCE

    def heard_of(self: Any, node_id: int, heartbeat_interval: float) -> Any:
        return original(self, node_id, max(heartbeat_interval, least))

    return heard_of
