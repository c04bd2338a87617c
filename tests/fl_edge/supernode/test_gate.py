"""The gate against a SuperLink and an app that lie, call by call."""

from pathlib import Path

import httpx
import numpy as np
import pytest
from flwr.app import ArrayRecord, ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_object import get_object_tree
from flwr.supercore.run import RunNotRunningException

from datatoken.authorization.history import HistoryStore
from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import parse_document
from datatoken.errors import LocalEnvironmentError
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import MessageKind, sha256_hex
from fl_edge.messages import message_digest
from fl_edge.messages.envelope import bare
from fl_edge.supernode.gate import Gate
from tests.fl_edge.messages.makers import records
from tests.fl_edge.supernode.parts import (
    JOB,
    RUN_ID,
    MemoryAuthority,
    MemoryLink,
    fab_of,
    objects_of,
    receipt_book,
    reply_to,
    request,
)

FAB = fab_of()
SECRET = "patient 4711"


class Bench:
    """A gate between a link in memory and a stand-in for flwr's loop."""

    def __init__(self, folder: Path, **run_fields: object) -> None:
        self.link = MemoryLink(FAB, run_fields)
        self.authority = MemoryAuthority({sha256_hex(FAB)})
        book, self.history = receipt_book(folder / "history.sqlite")
        self.wiped = 0
        self.gate = Gate(self.link.link(), self.authority, book, before_run=self._wipe)

    def _wipe(self) -> None:
        self.wiped += 1

    def admitted(self, message: Message, envelope: Message | None = None) -> Message | None:
        """Deliver a message; return what flwr gets to see."""
        self.link.deliver(message, envelope)
        received = self.gate.receive()
        return received[0] if received else None

    def answer(self, message: Message, reply: Message, tree: ObjectTree | None = None) -> None:
        """Send a reply the way flwr does: envelope first, then every object."""
        ids, session = self.gate.send(bare(reply), tree or get_object_tree(reply), 0.5)
        objects = objects_of(reply)
        for object_id in ids:
            self.gate.push(message.metadata.run_id, session, object_id, objects[object_id])

    @property
    def refusals(self) -> list[str]:
        """The reason codes that the SuperLink was told."""
        prefix = "refused by data owner: "
        texts = [m.error.reason or "" for m in self.link.sent if m.has_error()]
        assert all(text.startswith(prefix) for text in texts)
        return [text[len(prefix) :].split(":")[0] for text in texts]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


# --- in


def test_an_allowed_message_is_seen_by_flwr(bench: Bench) -> None:
    """What flwr pulls afterwards comes from the checked copy. Acceptance: 79, 102."""
    message = request(records())
    seen = bench.admitted(message)
    assert seen is not None
    assert vars(seen.metadata) == vars(bare(message).metadata)
    objects = objects_of(message)
    bench.link.objects.clear()
    assert {key: bench.gate.pull(RUN_ID, key) for key in objects} == objects
    bench.gate.confirm(RUN_ID, message.object_id)
    assert bench.link.confirmed == [message.object_id]
    assert bench.wiped == 1


def test_a_refused_message_is_never_seen_by_flwr(bench: Bench) -> None:
    """No task exists for it, and the server gets the reason at once. Acceptance: 81, 102."""
    bench.authority.refusal = Refused(Reason.GRANT_REVOKED, "The grant was revoked.")
    assert bench.admitted(request(records())) is None
    assert bench.refusals == ["GRANT_REVOKED"]
    assert bench.link.sent[0].metadata.reply_to_message_id == request(records()).object_id
    assert bench.wiped == 0


def test_every_message_of_every_kind_is_decided_anew(bench: Bench) -> None:
    """A permission that ends in the middle of a run ends the run here. Acceptance: 104, 105."""
    for kind in ("train", "evaluate", "query", "train.again"):
        assert bench.admitted(request(records(), kind)) is not None
    assert [k.value for k in bench.authority.kinds] == ["train", "evaluate", "query", "train"]
    bench.authority.refusal = Refused(Reason.GRANT_EXPIRED, "The grant expired.")
    assert bench.admitted(request(records(), "evaluate")) is None
    assert bench.refusals == ["GRANT_EXPIRED"]


def test_evaluate_used_as_an_unlimited_oracle(bench: Bench) -> None:
    """Each kind is counted under its own limit. Acceptance: 105."""
    bench.authority.limit = 2
    for kind in ("evaluate", "evaluate", "train"):
        assert bench.admitted(request(records(), kind)) is not None
    assert bench.admitted(request(records(), "evaluate")) is None
    assert bench.refusals == ["ROUNDS_EXHAUSTED"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("message_type", "evaluate"),
        ("group_id", "7"),
        ("src_node_id", 5),
        ("dst_node_id", 5),
        ("created_at", 5.0),
        ("created_at", float("nan")),
        ("ttl", 5.0),
        ("reply_to_message_id", "ab" * 32),
        ("dst_task_id", 5),
    ],
)
def test_envelope_and_message_disagree(bench: Bench, field: str, value: object) -> None:
    """An evaluate envelope around a train message is refused. Acceptance: 104."""
    message = request(records())
    envelope = bare(message)
    envelope.metadata.__dict__[f"_{field}"] = value
    assert bench.admitted(message, envelope) is None
    assert bench.refusals == ["ENVELOPE_MISMATCH"]
    assert bench.authority.kinds == []


@pytest.mark.parametrize("kind", ["system", "get_parameters", "reconnect"])
def test_kinds_that_no_owner_has_agreed_to(bench: Bench, kind: str) -> None:
    assert bench.admitted(request(records(), kind)) is None
    assert bench.refusals == ["MALFORMED_MESSAGE"]


def test_text_in_the_group_id(bench: Bench) -> None:
    """Parameters can't be passed in a field that no schema covers."""
    assert bench.admitted(request(records(), group_id="x" * 65)) is None
    assert bench.refusals == ["MALFORMED_MESSAGE"]


def test_a_message_for_another_node(bench: Bench) -> None:
    assert bench.admitted(request(records(), dst_node_id=12)) is None
    assert bench.refusals == ["ENVELOPE_MISMATCH"]


def test_malformed_trees_do_not_end_the_loop(bench: Bench) -> None:
    """Missing leaves, strange ids, an error as a request: refused, and the next one runs."""
    message = request(records())
    tree = get_object_tree(message)
    nonsense, bare_tree = ObjectTree(object_id="x"), ObjectTree(object_id=tree.object_id)
    for broken in (nonsense, bare_tree, ObjectTree(), tree.children[0]):
        bench.link.queue.append((bare(message), broken))
    failed = Message(Error(1, "x"), reply_to=message)
    failed.metadata.__dict__["_message_id"] = failed.object_id
    bench.link.deliver(failed)
    assert bench.admitted(message) is not None
    assert bench.refusals == ["MALFORMED_MESSAGE"] * 5


@pytest.mark.parametrize("error", [IndexError("no tree"), ValueError("bad"), KeyError("x")])
def test_an_unreadable_answer_does_not_end_the_loop(bench: Bench, error: Exception) -> None:
    bench.link.queue.append(error)
    assert bench.gate.receive() is None
    assert bench.admitted(request(records())) is not None


def test_a_lost_connection_is_flwrs_business(bench: Bench) -> None:
    """flwr has retried as often as the operator told it to: the launcher ends the process."""
    bench.link.queue.append(httpx.ConnectError("gone"))
    with pytest.raises(httpx.ConnectError):
        bench.gate.receive()


def test_an_error_of_our_own_is_a_refusal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an exception, never silence: a bug on the owner's side refuses as well."""

    def fails(*_: object) -> None:
        raise RuntimeError("/home/owner/secret/path")

    monkeypatch.setattr(bench.authority, "authorize", fails)
    assert bench.admitted(request(records())) is None
    assert bench.refusals == ["MALFORMED_MESSAGE"]
    assert "secret" not in (bench.link.sent[0].error.reason or "")


def test_chain_out_of_reach_names_no_endpoint(bench: Bench) -> None:
    """CHAIN_UNREACHABLE is told, the owner's endpoint is not. Acceptance: 111."""
    bench.authority.refusal = Refused(
        Reason.CHAIN_UNREACHABLE, "https://user:key@node.bank.example did not answer."
    )
    assert bench.admitted(request(records())) is None
    assert bench.refusals == ["CHAIN_UNREACHABLE"]
    assert "bank" not in (bench.link.sent[0].error.reason or "")


def test_parameters_hidden_in_a_messages_records(bench: Bench) -> None:
    """Metric and configuration records reach the decision, whatever they are called."""
    content = records(hidden=MetricRecord({"epochs": 99}), other=ConfigRecord({"x": "y"}))
    assert bench.admitted(request(content)) is not None
    assert bench.authority.records == [
        {"config": {"server-round": 1}, "hidden": {"epochs": 99}, "other": {"x": "y"}}
    ]


@pytest.mark.parametrize("value", [b"code", [1, 2], ["a"]])
def test_values_without_a_schema(bench: Bench, value: object) -> None:
    content = records(other=ConfigRecord({"x": value}))  # type: ignore[dict-item]
    assert bench.admitted(request(content)) is None
    assert bench.refusals == ["PARAMETERS_OUTSIDE_TERMS"]


def test_a_run_that_has_ended_is_passed_over(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(*_: object) -> None:
        raise RunNotRunningException

    monkeypatch.setattr(bench.authority, "authorize", ended)
    assert bench.admitted(request(records())) is None
    assert bench.link.sent == []


# --- out


def test_a_reply_leaves_with_a_receipt_that_was_written_before(bench: Bench) -> None:
    """The receipt is on disk before a byte is pushed. Acceptance: 106, 107."""
    message = request(records())
    bench.admitted(message)
    waiting: list[int] = []
    push = bench.link.push_object

    def watched(*arguments: object) -> None:
        waiting.append(len(bench.history.outbox()))
        push(*arguments)  # type: ignore[arg-type]

    bench.gate._link = bench.gate._link._replace(push_object=watched)
    content = RecordDict({"arrays": records()["arrays"], "m": MetricRecord({"loss": 1.0})})
    bench.answer(message, reply_to(message, content))
    assert waiting and set(waiting) == {1}
    signed = parse_document(SignedReceipt, bench.history.outbox()[0][1], "receipt", 10**5)
    assert signed.is_signed()
    assert (signed.receipt.job, signed.receipt.kind) == (JOB, MessageKind.TRAIN)
    assert signed.receipt.input == message_digest(message)
    assert signed.receipt.output != message_digest(reply_to(message, content)), "not salted"
    sent = bench.link.sent[-1]
    assert sent.metadata.message_id in bench.link.pushed
    assert len(bench.link.pushed) == len(objects_of(reply_to(message, content)))


def test_nothing_leaves_before_the_last_object(bench: Bench) -> None:
    message = request(records())
    bench.admitted(message)
    reply = reply_to(message, RecordDict({"m": MetricRecord({"loss": 1.0})}))
    ids, session = bench.gate.send(bare(reply), get_object_tree(reply), 0.5)
    objects = objects_of(reply)
    for object_id in sorted(ids)[:-1]:
        bench.gate.push(RUN_ID, session, object_id, objects[object_id])
    assert bench.link.sent == []
    bench.gate.push(RUN_ID, session, sorted(ids)[-1], objects[sorted(ids)[-1]])
    assert len(bench.link.sent) == 1


def test_data_in_times(bench: Bench) -> None:
    """Creation time and time to live are the gate's: 128 bits less for an app. Acceptance: 80."""
    message = request(records())
    bench.admitted(message)
    reply = Message(RecordDict({"m": MetricRecord({"loss": 1.0})}), reply_to=message)
    reply.metadata.__dict__.update(_created_at=1234.5678, _ttl=0.4711)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    bench.answer(message, reply)
    sent = bench.link.sent[-1].metadata
    assert sent.created_at != 1234.5678
    assert sent.ttl != 0.4711
    assert reply.object_id not in bench.link.pushed


@pytest.mark.parametrize("field", ["group_id", "message_type", "dst_node_id", "src_task_id"])
def test_data_in_metadata(bench: Bench, field: str) -> None:
    """A reply's metadata are those of its request. Acceptance: 80."""
    message = request(records())
    bench.admitted(message)
    reply = Message(RecordDict({"m": MetricRecord({"loss": 1.0})}), reply_to=message)
    value = {"group_id": SECRET, "message_type": "train.patient"}.get(field, 4711)
    reply.metadata.__dict__[f"_{field}"] = value
    reply.metadata.__dict__["_message_id"] = reply.object_id
    bench.answer(message, reply)
    assert bench.refusals == ["REPLY_WITHHELD"]
    assert SECRET not in str(bench.link.sent[0].error.reason)


def test_a_withheld_reply_leaves_no_object_and_no_receipt(bench: Bench) -> None:
    """Acceptance: 80."""
    message = request(records())
    bench.admitted(message)
    stolen = RecordDict({"stolen": ArrayRecord([np.zeros(1000)])})
    bench.answer(message, reply_to(message, stolen))
    assert bench.refusals == ["REPLY_WITHHELD"]
    assert not set(bench.link.pushed) & set(objects_of(reply_to(message, stolen)))
    assert bench.history.outbox() == []


@pytest.mark.parametrize(
    ("code", "told"), [(1, 1), (2, 2), (8, 8), (7, 0), (0, 0), (4711, 0), (-3, 0)]
)
def test_exception_text_leaves_by_code(bench: Bench, code: int, told: int) -> None:
    """Only codes that flwr has, and never the text. Acceptance: 80."""
    message = request(records())
    bench.admitted(message)
    reply = Message(Error(code, SECRET), reply_to=message)
    reply.metadata.__dict__["_message_id"] = reply.object_id
    bench.answer(message, reply)
    assert bench.refusals == ["APP_FAILED"]
    assert bench.link.sent[0].error.code == told
    assert SECRET not in str(bench.link.sent[0].error.reason)


def test_objects_never_asked_for(bench: Bench) -> None:
    """A lying SuperLink gets what was offered and inspected, whatever it asks for."""
    message = request(records())
    bench.admitted(message)
    bench.link.asks_for = {"ab" * 32}
    bench.answer(message, reply_to(message, RecordDict({"m": MetricRecord({"loss": 1.0})})))
    assert bench.link.pushed == {}
    assert len(bench.history.outbox()) == 1


def test_a_superlink_that_asks_for_none_hides_nothing(bench: Bench) -> None:
    """The reply is inspected whether or not the SuperLink says that it has it already."""
    message = request(records())
    bench.admitted(message)
    bench.link.asks_for = set()
    bench.answer(message, reply_to(message, RecordDict({"x": ArrayRecord([np.zeros(9)])})))
    assert bench.refusals == ["REPLY_WITHHELD"]


def test_a_reply_to_nothing_and_a_second_reply_stay_here(bench: Bench) -> None:
    message = request(records())
    bench.admitted(message)
    reply = reply_to(message, RecordDict({"m": MetricRecord({"loss": 1.0})}))
    bench.answer(message, reply)
    again = reply_to(message, RecordDict({"m": MetricRecord({"loss": 2.0})}))
    assert bench.gate.send(bare(again), get_object_tree(again), 0.0) == (set(), "")
    stranger = reply_to(request(records(), "query"), RecordDict())
    assert bench.gate.send(bare(stranger), get_object_tree(stranger), 0.0) == (set(), "")
    assert len(bench.link.sent) == 1


def test_a_reply_with_a_broken_tree_is_answered(bench: Bench) -> None:
    message = request(records())
    bench.admitted(message)
    reply = reply_to(message, RecordDict())
    assert bench.gate.send(bare(reply), ObjectTree(object_id="x"), 0.0) == (set(), "")
    assert bench.refusals == ["REPLY_WITHHELD"]


def test_without_a_receipt_nothing_leaves(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk withholds the reply. Acceptance: 106."""

    def full(*_: object) -> None:
        raise LocalEnvironmentError("The disk is full.")

    monkeypatch.setattr(HistoryStore, "add_receipt", full)
    message = request(records())
    bench.admitted(message)
    bench.answer(message, reply_to(message, RecordDict({"m": MetricRecord({"loss": 1.0})})))
    assert bench.refusals == ["REPLY_WITHHELD"]


def test_a_refusal_that_can_not_be_delivered_does_not_end_the_loop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise httpx.ConnectError("gone")

    bench.gate._link = bench.gate._link._replace(send=gone)
    bench.authority.refusal = Refused(Reason.JOB_NOT_OPEN, "Closed.")
    assert bench.admitted(request(records())) is None


# --- runs


def test_a_refused_run_is_asked_for_again(tmp_path: Path) -> None:
    """A refusal is not kept: what was wrong may be right the next time."""
    bench = Bench(tmp_path, primary_task_type="flwr-agentapp")
    assert bench.admitted(request(records())) is None
    bench.link.run_fields = {}
    assert bench.admitted(request(records())) is not None
    assert bench.admitted(request(records(), "evaluate")) is not None
    assert bench.link.run_reads == 2


def test_job_named_by_another_makers_superlink(tmp_path: Path) -> None:
    """The name of a job is a hint for the owner's side; the app never sees it. Acceptance: 104."""
    bench = Bench(tmp_path, override_config={"datatoken-job": JOB, "epochs": 2})
    assert bench.admitted(request(records())) is not None
    assert bench.authority.hints[0].job == JOB
    assert bench.authority.facts[0].parameters == {"epochs": 2, "rate": 0.1}
    assert bench.gate.get_run(RUN_ID).override_config == {"epochs": 2}


@pytest.mark.parametrize("name", ["x", 5, "0x12", ""])
def test_a_hint_that_is_no_id(tmp_path: Path, name: object) -> None:
    bench = Bench(tmp_path, override_config={"datatoken-job": name})
    assert bench.admitted(request(records())) is None
    assert bench.refusals == ["RUN_NOT_ACCEPTED"]


def test_swapped_bundle_after_approval(bench: Bench) -> None:
    """Bytes that do not hash to the announced FAB, and a FAB nobody granted. Acceptance: 103."""
    bench.link.fab = FAB + b"\n"
    bench.link.run_fields = {"fab_hash": sha256_hex(FAB)[2:]}
    assert bench.admitted(request(records())) is None
    bench.link.run_fields = {}
    assert bench.admitted(request(records())) is None
    assert bench.refusals == ["OPERATION_MISMATCH"] * 2
