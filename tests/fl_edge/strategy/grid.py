"""A grid in memory: nodes are functions. Everything else is flwr's own."""

from collections.abc import Callable, Iterable

from flwr.app import ArrayRecord, Error, Message, MetricRecord, RecordDict
from flwr.proto.node_pb2 import NodeInfo
from flwr.serverapp import Grid
from flwr.supercore.run import Run

Node = Callable[[Message], Message | None]
RUN = 4711


def honest(message: Message) -> Message:
    """Add one to every number."""
    arrays = message.content.array_records["arrays"].to_numpy_ndarrays()
    content = {"metrics": MetricRecord({"num-examples": 10, "loss": 1.0})}
    if message.metadata.message_type == "train":
        content["arrays"] = ArrayRecord([array + 1 for array in arrays])  # type: ignore[assignment]
    return Message(content=RecordDict(content), reply_to=message)  # type: ignore[arg-type]


def refuse(reason: str) -> Node:
    """Return a node that refuses with a reason."""

    def node(message: Message) -> Message:
        return Message(Error(3, f"refused by data owner: {reason}"), reply_to=message)

    return node


def silent(message: Message) -> None:
    """Never answer."""
    del message


class MemoryGrid(Grid):
    """Nodes by id."""

    def __init__(self, nodes: list[Node]) -> None:
        self.nodes = {index + 10: node for index, node in enumerate(nodes)}
        self.sent: list[Message] = []
        self._run = Run.create_empty(RUN)

    @property
    def run(self) -> Run:
        return self._run

    def set_run(self, run: Run) -> None:
        self._run = run

    def create_message(self, *arguments: object, **options: object) -> Message:
        raise NotImplementedError

    def get_node_ids(self) -> Iterable[int]:
        return list(self.nodes)

    def get_nodes(self) -> Iterable[NodeInfo]:
        return [NodeInfo(node_id=node) for node in self.nodes]

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        raise NotImplementedError

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        raise NotImplementedError

    def send_and_receive(
        self, messages: Iterable[Message], *, timeout: float | None = None
    ) -> Iterable[Message]:
        replies = []
        for message in messages:
            message.metadata.__dict__["_run_id"] = RUN
            message.metadata.__dict__["_src_node_id"] = 1
            message.metadata.__dict__["_message_id"] = message.object_id
            self.sent.append(message)
            reply = self.nodes[message.metadata.dst_node_id](message)
            if reply is not None:
                replies.append(reply)
        return replies
