"""Parts of a gate for tests: a decision and a link in memory, messages as flwr makes them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from flwr.app import Message, RecordDict
from flwr.app.message.message import make_message
from flwr.app.metadata import Metadata
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_object import get_all_nested_objects, get_object_tree
from flwr.supercore.run import Run

from datatoken.authorization.decision import Lease
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.signer import Signer
from datatoken.ddo.operation import ReplyPolicy
from datatoken.rounds.receipts import Delegation
from datatoken.service.receipts import ReceiptBook
from datatoken.types import Hex32, MessageKind, sha256_hex
from fl_edge.fab import write_fab
from fl_edge.messages.envelope import bare
from fl_edge.supernode.authority import Accepted, Records
from fl_edge.supernode.runs import Hints, RunFacts
from fl_edge.supernode.seam import Link, Received

JOB, DT, REQUEST = (sha256_hex(name) for name in (b"job", b"dt", b"request"))
NODE_ID = 11
RUN_ID = 4711


@dataclass
class MemoryAuthority:
    """A decision in memory: which FABs are accepted, how many messages of each kind."""

    artefacts: set[Hex32]
    policy: ReplyPolicy = field(default_factory=ReplyPolicy)
    limit: int = 1000
    refusal: Refused | None = None
    hints: list[Hints] = field(default_factory=list)
    records: list[Records] = field(default_factory=list)
    facts: list[RunFacts] = field(default_factory=list)
    kinds: list[MessageKind] = field(default_factory=list)

    def resolve(self, artefact: Hex32, hints: Hints) -> Accepted:
        self.hints.append(hints)
        if artefact not in self.artefacts:
            raise Refused(Reason.OPERATION_MISMATCH, "This FAB was not granted.")
        return Accepted(JOB, sha256_hex(b"bundle"))

    def authorize(
        self, accepted: Accepted, facts: RunFacts, kind: MessageKind, records: Records
    ) -> Lease:
        if self.refusal is not None:
            raise self.refusal
        if self.kinds.count(kind) >= self.limit:
            raise Refused(Reason.ROUNDS_EXHAUSTED, f"{self.limit} messages were answered.")
        self.kinds.append(kind)
        self.facts.append(facts)
        self.records.append(records)
        return Lease(
            job=accepted.job,
            request=REQUEST,
            run=str(facts.run.run_id),
            asset=DT,
            path=(DT,),
            operation=sha256_hex(b"operation"),
            kind=kind,
            edges=(),
            sequence=len(self.kinds),
            replies=self.policy,
            head="0x" + "0" * 56,
            round=0,
            block_number=1,
            counter=1,
        )


def receipt_book(path: Path) -> tuple[ReceiptBook, HistoryStore]:
    """Return a book of receipts with a fresh node key, over a real history file."""
    owner, node = Signer.random(), Signer.random()
    registry = "0x" + "11" * 20
    typed = Delegation.typed_data(31337, registry, DT, node.address, 2**40)
    delegation = Delegation(
        chain_id=31337,
        registry=registry,
        dt=DT,
        node=node.address,
        expiry=2**40,
        signature=owner.sign_full(typed),
    )
    history = HistoryStore(path)
    return ReceiptBook(history, node, delegation, b"s" * 32), history


def objects_of(message: Message) -> dict[str, bytes]:
    """Return the raw objects of a message."""
    return {key: value.deflate() for key, value in get_all_nested_objects(message).items()}


def request(content: RecordDict, kind: str = "train", **changed: object) -> Message:
    """Return a request as a SuperLink delivers it."""
    values: dict[str, object] = {
        "run_id": RUN_ID,
        "message_id": "",
        "src_node_id": 1,
        "dst_node_id": NODE_ID,
        "reply_to_message_id": "",
        "group_id": "",
        "created_at": 1_800_000_000.0,
        "ttl": 10**9,
        "message_type": kind,
        **changed,
    }
    message = make_message(metadata=Metadata(**values), content=content)  # type: ignore[arg-type]
    message.metadata.__dict__["_message_id"] = message.object_id
    return message


def reply_to(message: Message, content: RecordDict) -> Message:
    """Return an app's reply, as it is pushed."""
    reply = Message(content, reply_to=message)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    return reply


@dataclass
class MemoryLink:
    """A SuperLink in memory: delivers what is queued and keeps what is sent."""

    fab: bytes
    run_fields: Mapping[str, object] = field(default_factory=dict)
    queue: list[Received | Exception] = field(default_factory=list)
    objects: dict[str, bytes] = field(default_factory=dict)
    sent: list[Message] = field(default_factory=list)
    sent_trees: list[ObjectTree] = field(default_factory=list)
    pushed: dict[str, bytes] = field(default_factory=dict)
    asks_for: set[str] | None = None
    confirmed: list[str] = field(default_factory=list)
    run_reads: int = 0

    def deliver(self, message: Message, envelope: Message | None = None) -> None:
        """Queue a message, on request with another envelope."""
        self.objects |= objects_of(message)
        self.queue.append((envelope or bare(message), get_object_tree(message)))

    def receive(self) -> Received | None:
        if not self.queue:
            return None
        found = self.queue.pop(0)
        if isinstance(found, Exception):
            raise found
        return found

    def send(self, message: Message, tree: ObjectTree, runtime: float) -> tuple[set[str], str]:
        self.sent.append(message)
        self.sent_trees.append(tree)
        ids: set[str] = set()
        todo = [tree]
        while todo:
            node = todo.pop()
            ids.add(node.object_id)
            todo.extend(node.children)
        return (ids if self.asks_for is None else self.asks_for), "session"

    def get_run(self, run_id: int) -> Run:
        self.run_reads += 1
        run = Run.create_empty(run_id)
        run.fab_id, run.fab_version = "tests/probe", "1.0.0"
        run.fab_hash = sha256_hex(self.fab)[2:]
        for name, value in self.run_fields.items():
            setattr(run, name, value)
        return run

    def get_fab(self, fab_hash: str, run_id: int) -> Fab:
        return Fab(fab_hash, self.fab, {})

    def pull_object(self, run_id: int, object_id: str) -> bytes:
        return self.objects[object_id]

    def push_object(self, run_id: int, session: str, object_id: str, content: bytes) -> None:
        self.pushed[object_id] = content

    def confirm(self, run_id: int, message_id: str) -> None:
        self.confirmed.append(message_id)

    def link(self) -> Link:
        return Link(
            NODE_ID,
            self.receive,
            self.send,
            self.get_run,
            self.get_fab,
            self.pull_object,
            self.push_object,
            self.confirm,
        )


def fab_of(config: str = "epochs = 1\nrate = 0.1", **changed: str) -> bytes:
    """Return the FAB of a small app; `changed` are fields of its pyproject."""
    fields = {"name": "probe", "version": "1.0.0", "publisher": "tests", "components": ""}
    fields |= changed
    pyproject = (
        f'[project]\nname = "{fields["name"]}"\nversion = "{fields["version"]}"\n'
        'description = "x"\nlicense = "Apache-2.0"\ndependencies = []\n'
        f'[tool.flwr.app]\npublisher = "{fields["publisher"]}"\n'
        "[tool.flwr.app.components]\n"
        'serverapp = "probe.server:app"\nclientapp = "probe.client:app"\n'
        f"{fields['components']}\n[tool.flwr.app.config]\n{config}\n"
    )
    return write_fab(pyproject.encode(), {"probe/__init__.py": b'"""Probe."""\n'})
