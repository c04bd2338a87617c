"""The SuperLink's gate decides whether a run may start and whether a round may go out.

The asset is the composite (else the algorithm) whose `self` operation the ServerApp is. The
questions are those of every gate; the same core decides, at a fresh view.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from datatoken.authorization.decision import Lease
from datatoken.authorization.gate import Gatekeeper, Work
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.rounds import minimum
from datatoken.ddo.operation import OperationDocument
from datatoken.errors import BadInputError
from datatoken.service.monitor import Monitor
from datatoken.types import Hex32, MessageKind, Scalar, sha256_hex
from fl_edge.fab import app_config, build_fab, effective_config
from fl_edge.fab.installed import installed_versions
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY, RESUME_KEY
from fl_edge.superlink.runs import Admission, RunBook

NOT_THIS_JOB = (Reason.OPERATION_MISMATCH, Reason.NOT_IN_JOB)
UNREADABLE = (Reason.STORE_UNREACHABLE, Reason.DOCUMENT_MISSING, Reason.DOCUMENT_MISMATCH)
NEW_RUN = "(not started)"
MAX_ROUNDS_KEPT = 256


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One message that a ServerApp sends out, as the SuperLink sees it before it is stored.

    Attributes
    ----------
    session : str
        flwr's push session: all messages that one call of the ServerApp sends.
    content : str
        Object id of the records: equal for members that get the same.
    """

    run: int
    kind: MessageKind
    session: str
    content: str
    node: int


@dataclass
class _Round:
    """Messages that one lease covers: one push, or one content to different nodes."""

    number: int
    session: str
    contents: set[str] = field(default_factory=set)
    nodes: set[int] = field(default_factory=set)

    def covers(self, message: Outgoing) -> bool:
        same = message.session == self.session or message.content in self.contents
        return same and message.node not in self.nodes

    def add(self, message: Outgoing) -> None:
        self.contents.add(message.content)
        self.nodes.add(message.node)


class SuperLinkGate:
    """Admits runs and lets their rounds go out.

    Parameters
    ----------
    keeper : Gatekeeper
        Of the DT whose SuperLink this is.
    candidates : callable
        Returns the open jobs of the market, for a run that names none; raises `Refused`.
    book : RunBook
        Where admissions are kept.
    resumable : callable
        Tells whether there is an aggregate of a job to go on from.
    monitor : Monitor, optional
        Counts rounds and measures decisions.
    """

    def __init__(
        self,
        keeper: Gatekeeper,
        candidates: Callable[[], list[Hex32]],
        book: RunBook,
        resumable: Callable[[Hex32], bool] = lambda _: False,
        monitor: Monitor | None = None,
    ) -> None:
        self._monitor = monitor or Monitor("superlink")
        self.keeper, self.book, self._resumable = keeper, book, resumable
        self._candidates = candidates
        self._fabs: dict[tuple[Hex32, Hex32], Hex32] = {}
        self._rounds: OrderedDict[tuple[int, MessageKind], _Round] = OrderedDict()
        self._number = 0
        self._lock = threading.RLock()

    def admit(self, fab: bytes, overrides: Mapping[str, Scalar]) -> tuple[Admission, Lease]:
        """Decide whether a run may start; nothing is counted and nothing pinned yet.

        Parameters
        ----------
        fab : bytes
            The app as it came.
        overrides : mapping
            Run-config overrides, hints among them.

        Raises
        ------
        Refused
        """
        hints = {key: overrides[key] for key in (JOB_KEY, REQUEST_KEY) if key in overrides}
        if not all(isinstance(value, str) for value in hints.values()):
            raise Refused(Reason.JOB_UNKNOWN, f"{' and '.join(hints)} must be texts.")
        resume = overrides.get(RESUME_KEY, False)
        if not isinstance(resume, bool):
            raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, f"{RESUME_KEY} is true or false.")
        own = (JOB_KEY, REQUEST_KEY, RESUME_KEY)
        parameters = _parameters(fab, {k: v for k, v in overrides.items() if k not in own})
        with self._lock:
            job, request = hints.get(JOB_KEY), hints.get(REQUEST_KEY)
            if job is not None:
                return self._check(str(job), fab, parameters, str(request or "") or None, resume)
            return self._search(fab, parameters, str(request or "") or None, resume)

    def begin(self, run: int, admission: Admission, lease: Lease) -> None:
        """Pin a new run to its compute request and remember what was admitted.

        Raises
        ------
        Refused
            REQUEST_REPLAYED.
        """
        with self._lock:
            self.keeper.commit(replace(lease, run=str(run), edges=()))
            self.book.add(run, admission)

    def covered(self, message: Outgoing) -> bool:
        """Tell whether a message belongs to the round that is already out."""
        with self._lock:
            current = self._rounds.get((message.run, message.kind))
            return current is not None and current.covers(message)

    def release(self, message: Outgoing) -> int:
        """Authorise a message's round, at its first message, from a fresh view.

        Returns
        -------
        int
            The round's number, this process's own.

        Raises
        ------
        Refused
            RUN_NOT_ACCEPTED for a run that was never admitted; else as `authorize`.
        """
        admission = self.book.get(message.run)
        if admission is None:
            raise Refused(Reason.RUN_NOT_ACCEPTED, f"Run {message.run} was never admitted here.")
        with self._lock:
            key = (message.run, message.kind)
            current = self._rounds.get(key)
            if current is None or not current.covers(message):
                self._authorize(admission, message)
                self._number += 1
                self._monitor.round()
                current = self._rounds[key] = _Round(self._number, message.session)
                self._rounds.move_to_end(key)
                while len(self._rounds) > MAX_ROUNDS_KEPT:
                    self._rounds.popitem(last=False)
            current.add(message)
            return current.number

    def _authorize(self, admission: Admission, message: Outgoing) -> None:
        """Ask for a round, and count it: still under the request that was admitted."""
        lease = self._ask(
            admission.job,
            run=str(message.run),
            bundle=admission.bundle,
            artefact=admission.artefact,
            kind=message.kind,
            parameters=admission.parameters,
            request=admission.request,
        )
        if lease.request != admission.request:
            raise Refused(
                Reason.REQUEST_MISMATCH, "Another compute request was announced meanwhile."
            )
        self.keeper.commit(lease)

    def _ask(self, job: Hex32, **asked: Any) -> Lease:
        """Ask the core; nothing is counted. A composite's owner has to announce its own job."""
        try:
            installed = installed_versions(self.keeper.documents(job).values())
            with self._monitor.deciding():
                return self.keeper.authorize(
                    job=job,
                    # The members' gates read the records; here they have not arrived yet.
                    records={},
                    installed=installed,
                    count=False,
                    **asked,
                )
        except Refused as refusal:
            composite = self.keeper.tree(job).algorithm != self.keeper.asset
            if refusal.reason is Reason.REQUEST_MISSING and composite:
                raise Refused(
                    Reason.NOT_ANNOUNCED, "This composite's owner has not announced the job."
                ) from refusal
            raise

    def _search(
        self, fab: bytes, parameters: dict[str, Scalar], request: Hex32 | None, resume: bool
    ) -> tuple[Admission, Lease]:
        """Find the one announced job that runs this app."""
        found: list[tuple[Admission, Lease]] = []
        refusals: list[Refused] = []
        for job in self._candidates():
            try:
                found.append(self._check(job, fab, parameters, request, resume))
            except Refused as refusal:
                refusals.append(refusal)
        if len(found) == 1:
            return found[0]
        if found:
            names = ", ".join(admission.job for admission, _ in found)
            raise Refused(Reason.JOB_AMBIGUOUS, f"Several open jobs run this app: {names}.")
        # Strangers' jobs whose documents are nowhere must not hide the reason for this app.
        readable = [r for r in refusals if r.reason not in UNREADABLE]
        other = [r for r in readable or refusals if r.reason not in NOT_THIS_JOB]
        if other:
            raise other[0]
        raise Refused(
            Reason.JOB_UNKNOWN,
            f"No job that is open and announced to DT {self.keeper.asset[:10]}… runs this app "
            f"(FAB {sha256_hex(fab)[:10]}…).",
        )

    def _check(
        self,
        job: Hex32,
        fab: bytes,
        parameters: dict[str, Scalar],
        request: Hex32 | None,
        resume: bool,
    ) -> tuple[Admission, Lease]:
        document = self._match(job, sha256_hex(fab))
        if resume and not self._resumable(job):
            raise Refused(
                Reason.RUN_NOT_ACCEPTED,
                f"There is no logged aggregate of job {job[:10]}… to go on from; "
                "run it without --resume.",
            )
        kind = document.messages[0] if document.messages else MessageKind.TRAIN
        lease = self._ask(
            job,
            run=NEW_RUN,
            bundle=document.bundle,
            artefact=sha256_hex(fab),
            kind=kind,
            parameters=parameters,
            request=request,
        )
        tree = self.keeper.tree(job)
        admission = Admission(
            job=job,
            request=lease.request,
            bundle=document.bundle,
            artefact=sha256_hex(fab),
            parameters=parameters,
            minimum=minimum(tree, lease.path, 0, all_required=False),
            resume=resume,
        )
        return admission, lease

    def _match(self, job: Hex32, artefact: Hex32) -> OperationDocument:
        """Return the server-side operation whose registered bundles build exactly these bytes."""
        documents = self.keeper.documents(job)
        tree = self.keeper.tree(job)
        for work in self.keeper.work(job):
            partners = [documents[op] for op in tree.partners(work.assignment) if op in documents]
            for client in partners:
                if self._artefact(work, client) == artefact:
                    return work.document
        raise Refused(
            Reason.OPERATION_MISMATCH,
            f"The app's bytes ({artefact[:10]}…) are not what the registered bundles of job "
            f"{job[:10]}… build.",
        )

    def _artefact(self, work: Work, client: OperationDocument) -> Hex32 | None:
        """Return the sha256 of the FAB that a pair of registered bundles builds."""
        server = work.document
        if (client.kind, server.kind) == ("app", "app"):
            return server.bundle if client.bundle == server.bundle else None
        if (client.kind, server.kind) != ("client", "server"):
            return None
        key = (client.bundle, server.bundle)
        if key not in self._fabs:
            halves = self.keeper.bundle(client), self.keeper.bundle(server)
            try:
                self._fabs[key] = sha256_hex(build_fab(*halves))
            except BadInputError as error:
                raise Refused(Reason.OPERATION_MISMATCH, error.message) from None
        return self._fabs[key]


def _parameters(fab: bytes, overrides: Mapping[str, Scalar]) -> dict[str, Scalar]:
    try:
        components = app_config(fab)["tool"]["flwr"]["app"]["components"]
        if "agentapp" in components:
            raise Refused(Reason.RUN_NOT_ACCEPTED, "Apps with an AgentApp do not run here.")
    except BadInputError as error:
        raise Refused(Reason.OPERATION_MISMATCH, error.message) from None
    try:
        return effective_config(fab, overrides)
    except BadInputError as error:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, error.diagnostics()) from None
