"""The gate: stands between flwr's main loop and the SuperLink, on the data owner's side.

In: `receive` pulls the whole message itself, checks it, and asks the owner's side; only then
does flwr hear of it, and every object that flwr pulls afterwards comes from the gate's copy.
Out: `send` only notes the reply; `push` collects its objects, and when the last one is there,
the gate inspects the reply, writes the receipt, and really sends. A refusal is an error reply
with code and sentence; never an exception (it would end flwr's loop), never silence (the
server would wait for its time-out).
"""

import secrets
import threading
import time
from collections.abc import Callable
from typing import Protocol

import httpx
import structlog
from flwr.app import Message
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.fab import Fab
from flwr.supercore.inflatable.inflatable_utils import ObjectPushError, pull_objects
from flwr.supercore.run import Run, RunNotRunningException

from datatoken.authorization.decision import Lease
from datatoken.authorization.reasons import Refused
from datatoken.rounds.receipts import SignedReceipt
from datatoken.service.monitor import Monitor
from datatoken.types import Hex32
from fl_edge.messages import (
    MalformedMessageError,
    content_digest,
    offered_ids,
)
from fl_edge.messages.envelope import bare, kind_of, open_message, reroot
from fl_edge.messages.objects import MAX_BYTES
from fl_edge.supernode.authority import Accepted, Authority
from fl_edge.supernode.exchange import (
    Asked,
    Pending,
    check_envelope,
    inspect_reply,
    records_of,
    unreadable,
)
from fl_edge.supernode.refusals import error_reply, public_text, refusal_of
from fl_edge.supernode.runs import RunFacts, check_fab, hints_of, rebuild
from fl_edge.supernode.seam import Link, Received

log = structlog.get_logger(__name__)

PULL_SECONDS = 600.0


class Book(Protocol):
    """Where receipts are written (`datatoken.service.receipts.ReceiptBook`)."""

    def write(self, lease: Lease, input_digest: Hex32, reply_digest: Hex32) -> SignedReceipt:
        """Sign and store one receipt."""
        ...


class Gate:
    """Wraps one link to a SuperLink.

    Parameters
    ----------
    link : Link
        The real connection.
    authority : Authority
        The owner's side.
    book : Book
        Where receipts are written.
    before_run : callable
        Called before a message is handed over (empties the folder of apps).
    after_reply : callable
        Called after a receipt was written (wakes the outbox).
    rpcs : callable
        Returns how many requests have gone to the chain, for the log.
    monitor : Monitor, optional
        Counts messages and measures decisions.
    """

    def __init__(
        self,
        link: Link,
        authority: Authority,
        book: Book,
        *,
        before_run: Callable[[], None] = lambda: None,
        after_reply: Callable[[], None] = lambda: None,
        rpcs: Callable[[], int] = lambda: 0,
        monitor: Monitor | None = None,
    ) -> None:
        self._monitor = monitor or Monitor("supernode")
        self._link, self._authority, self._book = link, authority, book
        self._before_run, self._after_reply, self._rpcs = before_run, after_reply, rpcs
        self._runs: dict[int, tuple[RunFacts, Accepted]] = {}
        self._asked: dict[str, Asked] = {}
        self._objects: dict[str, bytes] = {}
        self._pending: dict[str, Pending] = {}
        self._lock = threading.Lock()

    def link(self) -> Link:
        """Return the link that flwr is given."""
        return Link(
            self._link.node_id,
            self.receive,
            self.send,
            self.get_run,
            self.get_fab,
            self.pull,
            self.push,
            self.confirm,
        )

    # --- in

    def receive(self) -> Received | None:
        """Return the next message that the owner allows, completely checked; None: there is none.

        Messages that are refused are answered here and never seen by flwr.
        """
        while True:
            try:
                received = self._link.receive()
            except httpx.TransportError:
                raise  # flwr has retried as often as it was told to
            except Exception as error:  # not even an envelope: there is nobody to answer
                log.error("unreadable answer of the SuperLink", error=type(error).__name__)
                return None
            if received is None:
                return None
            envelope, tree = received
            try:
                return self._admit(envelope, tree)
            except RunNotRunningException:
                log.info("run ended", run=envelope.metadata.run_id)
            except Exception as error:  # whatever is wrong with a message, the loop goes on
                self._refuse(envelope, refusal_of(error), error)

    def _admit(self, envelope: Message, tree: ObjectTree) -> Received:
        started, asked_before = time.perf_counter(), self._rpcs()
        facts, accepted = self._run(envelope.metadata.run_id)
        ids = offered_ids(tree)
        pulled = time.perf_counter()
        objects = self._pull_all(facts.run.run_id, ids)
        pull_ms = _since(pulled)
        opened = open_message(objects, ids, envelope.metadata.message_id)
        kind = kind_of(opened.message.metadata)
        check_envelope(envelope, opened.message, self._link.node_id)
        with self._monitor.deciding():
            lease = self._authority.authorize(accepted, facts, kind, records_of(opened.content))
        self._monitor.passed(kind)
        self._before_run()
        asked = Asked(
            opened.message, opened.content.outline(), content_digest(opened.content), lease
        )
        self._asked[envelope.metadata.message_id] = asked
        self._objects = objects
        log.info(
            "message admitted",
            job=lease.job,
            run=lease.run,
            kind=kind.value,
            sequence=lease.sequence,
            input=asked.digest,
            bytes=sum(map(len, objects.values())),
            ms=_since(started),
            pull_ms=pull_ms,
            rpcs=self._rpcs() - asked_before,
        )
        return bare(opened.message), opened.tree

    def _run(self, run_id: int) -> tuple[RunFacts, Accepted]:
        """Return the run rebuilt from bytes that the owner accepts; a refusal is not kept."""
        if run_id not in self._runs:
            run = self._link.get_run(run_id)
            fab = self._link.get_fab(run.fab_hash, run_id)
            artefact = check_fab(run_id, run, fab)
            accepted = self._authority.resolve(artefact, hints_of(run))
            self._runs[run_id] = rebuild(run_id, run, fab), accepted
        return self._runs[run_id]

    def _pull_all(self, run_id: int, ids: set[str]) -> dict[str, bytes]:
        total, lock = 0, threading.Lock()

        def pull(object_id: str) -> bytes:
            nonlocal total
            content = self._link.pull_object(run_id, object_id)
            with lock:
                total += len(content)
                if total > MAX_BYTES:
                    raise MalformedMessageError("The message is too large.")
            return content

        return pull_objects(sorted(ids), pull, max_time=PULL_SECONDS)

    def get_run(self, run_id: int) -> Run:
        """Return the rebuilt run; flwr asks for runs of admitted messages only."""
        return self._runs[run_id][0].run

    def get_fab(self, _fab_hash: str, run_id: int) -> Fab:
        """Return the FAB that was checked."""
        return self._runs[run_id][0].fab

    def pull(self, _run_id: int, object_id: str) -> bytes:
        """Return an object of the message at hand, from the copy that was checked."""
        return self._objects[object_id]

    def confirm(self, run_id: int, message_id: str) -> None:
        """Drop the copy and tell the SuperLink that the message has arrived."""
        self._objects = {}
        try:
            self._link.confirm(run_id, message_id)
        except Exception as error:  # flwr would drop the message without an answer
            log.warning("message not confirmed", error=type(error).__name__)

    # --- out

    def send(self, envelope: Message, tree: ObjectTree, runtime: float) -> tuple[set[str], str]:
        """Note a reply and ask flwr for all its objects; nothing leaves yet."""
        asked = self._asked.pop(envelope.metadata.reply_to_message_id, None)
        if asked is None:
            log.error("reply to nothing", run=envelope.metadata.run_id)
            return set(), ""
        try:
            ids = offered_ids(tree)
        except MalformedMessageError as error:
            self._refuse(asked.request, unreadable(error), error)
            return set(), ""
        session = secrets.token_hex(8)
        # A finer clock would have room for what no policy has looked at.
        self._pending[session] = Pending(asked, envelope, ids, round(runtime, 1))
        return ids, session

    def push(self, _run_id: int, session: str, object_id: str, content: bytes) -> None:
        """Collect an object of a reply; the last one sets the inspection going."""
        with self._lock:
            pending = self._pending.get(session)
            if pending is None:
                return
            pending.objects[object_id] = content
            pending.size += len(content)
            complete = set(pending.objects) >= pending.ids
            if not complete and pending.size <= MAX_BYTES:
                return
            del self._pending[session]
        self._deliver(pending)

    def _deliver(self, pending: Pending) -> None:
        started, asked = time.perf_counter(), pending.asked
        try:
            opened = inspect_reply(pending)
            output = content_digest(opened.content)
            reply, tree, objects = reroot(opened, pending.objects, asked.request)
            signed = self._book.write(asked.lease, asked.digest, output)
        except Exception as error:  # a reply that can't be inspected, or receipted, stays here
            refusal = error if isinstance(error, Refused) else unreadable(error)
            self._refuse(asked.request, refusal, error)
            return
        inspected = _since(started)
        self._transmit(reply, tree, dict(objects), pending.runtime)
        self._monitor.round()
        self._after_reply()
        log.info(
            "reply sent",
            job=asked.lease.job,
            run=asked.lease.run,
            kind=asked.lease.kind.value,
            sequence=asked.lease.sequence,
            receipt=signed.receipt.digest(),
            bytes=sum(map(len, objects.values())),
            ms=inspected,
        )

    def _refuse(self, request: Message, refusal: Refused, error: Exception | None = None) -> None:
        """Answer with an error reply; whatever happens here, the loop goes on."""
        self._monitor.refused(request.metadata.message_type.partition(".")[0], refusal.reason)
        log.warning(
            "refused",
            run=request.metadata.run_id,
            reason=refusal.reason.value,
            why=refusal.message,
            detail=getattr(error, "detail", "") or ("" if error is refusal else repr(error)),
        )
        try:
            reply, tree, objects = error_reply(refusal, request)
            self._transmit(reply, tree, objects, 0.0)
        except RunNotRunningException:
            log.info("run ended", run=request.metadata.run_id)
        except Exception as failure:  # there is nobody to tell
            log.error("refusal not delivered", told=public_text(refusal), error=repr(failure))

    def _transmit(
        self, reply: Message, tree: ObjectTree, objects: dict[str, bytes], runtime: float
    ) -> None:
        """Really send; whatever the SuperLink asks for, only the reply's objects leave."""
        wanted, session = self._link.send(reply, tree, runtime)
        if strange := len(wanted - set(objects)):
            log.warning("the SuperLink asks for objects that were not offered", count=strange)
        for object_id, content in objects.items():
            if object_id not in wanted:
                continue
            try:
                self._link.push_object(reply.metadata.run_id, session, object_id, content)
            except ObjectPushError:  # told twice, after a break: the first one has arrived
                log.warning("object not taken", run=reply.metadata.run_id, object=object_id[:12])


def _since(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
