"""The gatekeeper: reads chain and store for the decision, once for each message.

A gate whose counter has not moved costs one RPC (`AuthorizationView.check`); one that has
moved costs one bulk read more. A refusal is never remembered: permissions that were added
do not move the counter.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from datatoken.authorization.decision import Ask, Lease, View, authorize
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import MAX_REQUEST_BYTES, SignedRequest, parse_request
from datatoken.authorization.standing import check_fresh
from datatoken.authorization.tree import Assignment, VerifiedTree, verify_tree
from datatoken.authorization.view import ChainState, Check, LogState, Network, Record
from datatoken.ddo.models import MAX_DDO_BYTES
from datatoken.ddo.operation import MAX_OPERATION_BYTES, OperationDocument, parse_operation
from datatoken.ddo.proof import parse_ddo
from datatoken.errors import BadInputError
from datatoken.store.base import WrongContentError
from datatoken.types import ZERO32, Hex32, JobStatus, MessageKind, Scalar, sha256_hex

MAX_BUNDLE_BYTES = 64 * 1024 * 1024
_ID = re.compile(r"0x[0-9a-f]{64}")


class Reader(Protocol):
    """What the gatekeeper reads from a chain (`datatoken.chain.reader.ChainReader`)."""

    network: Network

    def check(self, job: Hex32) -> Check:
        """Return counter, status, head, block and time, in one RPC."""
        ...

    def snapshot(
        self, job: Hex32, edges: list[tuple[Hex32, Hex32]], operations: list[Hex32]
    ) -> ChainState:
        """Return everything that a decision reads, in one RPC; `edges` are (DT, parent)."""
        ...


class BlockStore(Protocol):
    """What the gatekeeper reads from a store: bytes that hash to their digest, or an error."""

    def get(self, digest: Hex32, limit: int) -> bytes:
        """Return the bytes of `digest`; at most `limit` of them."""
        ...


class Log(Protocol):
    """The recorder's log, verified up to a head (`datatoken.service.client.LogFollower`)."""

    def update(self, job: Hex32, head: str, number: int) -> LogState:
        """Return the verified log of `job` at the on-chain `head`."""
        ...


@dataclass(frozen=True)
class Work:
    """What a job lets run at the asset: the operation's bundle and the server's other half."""

    assignment: Assignment
    document: OperationDocument
    server: OperationDocument | None


@dataclass
class _JobFacts:
    """Verified facts of one job; only `state` goes stale."""

    tree: VerifiedTree
    operations: Mapping[Hex32, OperationDocument]
    state: ChainState

    def announced(self, supposed: Mapping[Hex32, Hex32]) -> "_JobFacts":
        """Return a copy with further announcements; nothing that is kept is changed."""
        if not supposed:
            return self
        announcements = {**self.state.announcements, **supposed}
        return replace(self, state=replace(self.state, announcements=announcements))


class Gatekeeper:
    """Authorises messages for one asset of one owner.

    Parameters
    ----------
    asset : Hex32
        The DT that this gate guards.
    reader, store, log : Reader, BlockStore, Log
        Where chain, documents and the recorder's log are read. Without a log, step 7 takes
        the log as empty and refuses as soon as the chain holds a round.
    history : HistoryStore
        The owner's own memory.
    clock : callable
        Returns Unix time in seconds.
    clock_bound : int
        Seconds that chain time and `clock` may disagree.
    """

    def __init__(
        self,
        asset: Hex32,
        reader: Reader,
        store: BlockStore,
        history: HistoryStore,
        log: Log | None = None,
        *,
        clock: Callable[[], float] = time.time,
        clock_bound: int = 120,
    ) -> None:
        self.asset, self.history = asset, history
        self._reader, self._store, self._log = reader, store, log
        self._clock, self._clock_bound = clock, clock_bound
        self._jobs: dict[Hex32, _JobFacts] = {}
        self._requests: dict[Hex32, SignedRequest] = {}
        self._lock = threading.RLock()

    def work(self, job: Hex32) -> list[Work]:
        """Return what `job` lets run at the asset, from verified documents.

        Raises
        ------
        Refused
            When the chain or store is out of reach, the job unknown, a document wrong, or
            the asset has no position in the job.
        """
        with self._lock, as_refusals():
            facts = self._facts(job)
            found = [
                Work(
                    assignment,
                    facts.operations[assignment.operation],
                    facts.operations.get(assignment.server_operation or ""),
                )
                for assignment in facts.tree.assignments(self.asset)
                if assignment.operation in facts.operations
            ]
            if not found:
                raise Refused(
                    Reason.NOT_IN_JOB,
                    f"DT {self.asset[:10]}… has no position in job {job[:10]}… that runs anything.",
                )
            return found

    def bundle(self, document: OperationDocument) -> bytes:
        """Return the registered bundle's bytes from the store.

        Raises
        ------
        Refused
            STORE_UNREACHABLE, or OPERATION_MISMATCH when they do not hash to the record.
        """
        with as_refusals():
            limit = min(document.size, MAX_BUNDLE_BYTES)
            try:
                content = self._store.get(document.bundle, limit)
            except WrongContentError as error:
                raise Refused(Reason.OPERATION_MISMATCH, error.message) from None
        if sha256_hex(content) != document.bundle:
            raise Refused(Reason.OPERATION_MISMATCH, "The store gave other bytes for the bundle.")
        return content

    def tree(self, job: Hex32) -> VerifiedTree:
        """Return the verified DDOs of `job`'s algorithm."""
        with self._lock, as_refusals():
            return self._facts(job).tree

    def documents(self, job: Hex32) -> Mapping[Hex32, OperationDocument]:
        """Return the documents of the operations that `job`'s workflows name, by id."""
        with self._lock, as_refusals():
            return self._facts(job).operations

    def records(self, job: Hex32) -> Mapping[Hex32, Record]:
        """Return the on-chain records of the DTs in `job`'s tree: their owners and kinds."""
        with self._lock, as_refusals():
            return self._facts(job).state.records

    def commit(self, lease: Lease) -> None:
        """Count a lease that was asked for without counting, and pin its run to its request.

        Raises
        ------
        Refused
            REQUEST_REPLAYED when the request has started another run.
        """
        with self._lock:
            request, chain = self._requests[lease.request], self._reader.network.chain_id
            self.history.commit(lease.edges, request, lease.run, chain, lease.block_number)

    def authorize(
        self,
        *,
        job: Hex32,
        run: str,
        bundle: Hex32,
        artefact: Hex32,
        kind: MessageKind,
        parameters: Mapping[str, Scalar],
        records: Mapping[str, Mapping[str, Scalar]],
        installed: Mapping[str, str],
        request: Hex32 | None = None,
        count: bool = True,
        rehearse: bool = False,
    ) -> Lease:
        """Decide on one message at a fresh view, and count it before returning the lease.

        Parameters
        ----------
        request : Hex32, optional
            Digest of the compute request, as the launcher names it. Below a composite the
            announced one is taken, whatever is named here.
        count : bool
            False to ask beforehand: nothing is counted, no run is pinned.
        rehearse : bool
            Decide, without counting, as if the asset's owner had announced `request`: what a
            composite's owner asks before announcing it.

        Raises
        ------
        Refused
        """
        with self._lock, as_refusals():
            ask = Ask(
                job=job,
                asset=self.asset,
                bundle=bundle,
                artefact=artefact,
                kind=kind,
                parameters=parameters,
                records=records,
                installed=installed,
                run=run,
                now=int(self._clock()),
                clock_bound=self._clock_bound,
            )
            count = count and not rehearse
            supposed = {self.asset: request} if rehearse and request is not None else {}
            facts, fresh = self._fresh(job)
            try:
                lease = self._decide(facts.announced(supposed), ask, request, count=count)
            except Refused:
                if fresh:
                    raise
                # Added permissions do not move the counter: look once more before refusing.
                facts = self._snapshot(job, facts).announced(supposed)
                lease = self._decide(facts, ask, request, count=count)
            if count:
                self.commit(lease)
            return lease

    def _decide(self, facts: _JobFacts, ask: Ask, request: Hex32 | None, *, count: bool) -> Lease:
        """Decide at one view; a later one must not be older, even after a refusal."""
        view = self._view(facts, ask, request)
        check_fresh(view, ask)  # a block of another chain or time is not remembered
        try:
            lease = authorize(view, ask)
        except Refused:
            self._see(view)
            raise
        if not count:
            self._see(view)  # else `commit` does, in its own transaction
        return lease

    def _see(self, view: View) -> None:
        if view.state.block_number > view.history.last_block:
            self.history.see(view.network.chain_id, view.state.block_number)

    def _view(self, facts: _JobFacts, ask: Ask, named: Hex32 | None) -> View:
        state = facts.state
        request = self._request(facts, named)
        log = LogState()
        if self._log is not None:
            log = self._log.update(ask.job, state.head, state.round)
        return View(
            network=self._reader.network,
            state=state,
            tree=facts.tree,
            operations=facts.operations,
            request=request,
            log=log,
            history=self.history.view(ask.job, request, self._reader.network.chain_id),
        )

    def _request(self, facts: _JobFacts, named: Hex32 | None) -> SignedRequest | None:
        """Fetch the announced request of the nearest composite, else the named one."""
        digest = named
        for path in facts.tree.paths(self.asset)[:1]:
            for dt in facts.tree.announcers(path)[:1]:
                digest = facts.state.announcements.get(dt, ZERO32)
        if digest is None or digest == ZERO32:
            return None
        if digest not in self._requests:
            try:
                content = self._store.get(digest, MAX_REQUEST_BYTES)
                request = parse_request(content)
            except BadInputError as error:
                raise Refused(Reason.REQUEST_MISMATCH, error.message) from None
            if request.digest() != digest:
                raise Refused(Reason.REQUEST_MISMATCH, "The store gave another compute request.")
            self._requests[digest] = request
        return self._requests[digest]

    def _fresh(self, job: Hex32) -> tuple[_JobFacts, bool]:
        """Return facts at a fresh view, and whether a bulk read was made."""
        _check_id(job)
        if job not in self._jobs:
            return self._facts(job), True
        facts = self._jobs[job]
        check = self._reader.check(job)
        if check.counter != facts.state.counter:
            return self._snapshot(job, facts), True
        facts.state = replace(
            facts.state,
            job=replace(facts.state.job, status=check.status),
            head=check.head,
            round=check.round,
            block_number=check.block_number,
            time=check.time,
        )
        return facts, False

    def _snapshot(self, job: Hex32, facts: _JobFacts) -> _JobFacts:
        state = self._reader.snapshot(job, *_question(facts.tree))
        facts.state = state
        missing = set(facts.tree.operations()) - set(facts.operations)
        if missing:
            facts.operations = self._operations(state)
        return facts

    def _facts(self, job: Hex32) -> _JobFacts:
        """Build and keep the verified facts of a job; the first time costs a few bulk reads."""
        _check_id(job)
        if job in self._jobs:
            return self._jobs[job]
        state = self._reader.snapshot(job, [], [])
        algorithm = state.job.algorithm
        if state.job.status is JobStatus.NONE or algorithm == ZERO32:
            raise Refused(Reason.JOB_UNKNOWN, f"Job {job[:10]}… is not on the task market.")
        tree = self._tree(job, algorithm)
        state = self._reader.snapshot(job, *_question(tree))
        self._jobs[job] = _JobFacts(tree, self._operations(state), state)
        return self._jobs[job]

    def _tree(self, job: Hex32, algorithm: Hex32) -> VerifiedTree:
        """Read records and DDOs level by level, then verify them all."""
        records: dict[Hex32, Record] = {}
        contents: dict[Hex32, bytes] = {}
        level = [algorithm]
        while level:
            state = self._reader.snapshot(job, [(dt, ZERO32) for dt in level], [])
            records |= {dt: state.records[dt] for dt in level}
            below: list[Hex32] = []
            for dt in level:
                record = records[dt]
                if not record.exists or not (record.children or dt == self.asset):
                    continue
                contents[dt] = self._store.get(record.ddo, MAX_DDO_BYTES)
                try:
                    below += parse_ddo(contents[dt]).children
                except BadInputError as error:
                    raise Refused(Reason.DOCUMENT_MISMATCH, error.message) from None
            level = [dt for dt in dict.fromkeys(below) if dt not in records]
        return verify_tree(algorithm, contents, records, self._reader.network)

    def _operations(self, state: ChainState) -> dict[Hex32, OperationDocument]:
        """Fetch the documents of all registered operations; one that is unreadable is left out.

        The decision refuses an operation without a document by name.
        """
        found = {}
        for operation, record in state.operations.items():
            if not record.exists:
                continue
            try:
                content = self._store.get(record.metadata, MAX_OPERATION_BYTES)
                found[operation] = parse_operation(content)
            except BadInputError:
                continue
        return found


def _check_id(job: Hex32) -> None:
    """Refuse what is no job id: a job must have one spelling only."""
    if _ID.fullmatch(job) is None:
        raise Refused(Reason.JOB_UNKNOWN, f"{job[:66]!r} is no job id.")


def _question(tree: VerifiedTree) -> tuple[list[tuple[Hex32, Hex32]], list[Hex32]]:
    """Return the (DT, parent) pairs and operations that a snapshot of a tree reads."""
    edges = [(child, parent) for parent, child in tree.edges()]
    return [(tree.algorithm, ZERO32), *edges], tree.operations()
