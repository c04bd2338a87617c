"""The decision on one message at one asset.

`authorize` is a pure function of a `View` (everything read at one block, the verified
documents, the owner's own history) and an `Ask` (what is about to run). It returns a
`Lease` for one message or raises `Refused`. The steps, in this order (DESIGN, The decision):

 (0) the view is fresh, of the right chain, and not older than one seen before;
 (1) job, task, guarantor, recorder and announcement are in order;
 (2) every DDO on the way hashes to its record (`VerifiedTree` is the witness);
 (3) an unbroken path of grants runs to the algorithm, and enough owners still grant;
 (4) the operation is the one the workflow gives to this position, byte for byte;
 (5) parameters and records satisfy schema and terms at every level;
 (6) the compute request is signed by the algorithm's owner and starts one run;
 (7) rounds: own counts, own receipts, the previous logged round.

Nothing that a server, an app or a requester says about itself is believed.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization import rounds
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest, parameters_digest
from datatoken.authorization.tree import Assignment, VerifiedTree
from datatoken.authorization.view import ChainState, EdgeKey, History, LogState, Network
from datatoken.ddo.models import Ddo, RecorderRef
from datatoken.ddo.operation import OPERATION_KINDS, OperationDocument, ReplyPolicy
from datatoken.ddo.terms import same, violations
from datatoken.types import ZERO32, Hex32, JobStatus, MessageKind, OperationKind, Scalar


@dataclass(frozen=True)
class View:
    """Everything that a decision may look at.

    `operations` are documents of registered operations that hash to their records (the
    decision checks it again, see `_operation`).
    """

    network: Network
    state: ChainState
    tree: VerifiedTree
    operations: Mapping[Hex32, OperationDocument]
    request: SignedRequest | None
    log: LogState
    history: History


@dataclass(frozen=True)
class Ask:
    """What is about to run, as the edge has derived it from bytes.

    Attributes
    ----------
    bundle : Hex32
        sha256 of the operation's exact bytes; `artefact` of the whole artefact (the FAB).
    parameters : mapping
        Effective run configuration: the artefact's defaults and the overrides.
    records : mapping
        Configuration records of the message, by name.
    installed : mapping
        Distribution → installed version, for the operation's lock.
    run : str
        The engine's run id.
    now : int
        The owner's own clock, in seconds; `clock_bound` how far chain time may be off.
    all_required : bool
        Whether every participant must still grant, whatever the terms say (MPC).
    """

    job: Hex32
    asset: Hex32
    bundle: Hex32
    artefact: Hex32
    kind: MessageKind
    parameters: Mapping[str, Scalar]
    records: Mapping[str, Mapping[str, Scalar]]
    installed: Mapping[str, str]
    run: str
    now: int
    clock_bound: int = 120
    all_required: bool = False


@dataclass(frozen=True, slots=True)
class Lease:
    """Permission for one message. The holder counts `edges` before the message is run."""

    job: Hex32
    request: Hex32
    run: str
    asset: Hex32
    path: tuple[Hex32, ...]
    operation: Hex32
    kind: MessageKind
    edges: tuple[EdgeKey, ...]
    sequence: int
    replies: ReplyPolicy
    head: str
    round: int
    block_number: int
    counter: int


def authorize(view: View, ask: Ask) -> Lease:
    """Decide on one message; return a lease or raise `Refused`.

    Where an asset has several positions that run the presented operation, every one of them
    must allow it: nobody can pick the laxer one.

    Raises
    ------
    Refused
        With the reason of the first step that fails.
    """
    _fresh(view, ask)  # (0)
    _job(view, ask)  # (1)
    if view.tree.algorithm != view.state.job.algorithm:  # (2)
        raise Refused(Reason.DOCUMENT_MISMATCH, "The documents are those of another algorithm.")
    candidates = _candidates(view, ask)
    for assignment in candidates:
        _announced(view, assignment)  # (1)
        _recorder(view, assignment)  # (1)
        _guarantor(view, assignment)  # (1)
        _granted(view, ask, assignment)  # (3)
        _operation(view, ask, assignment)  # (4)
        _parameters(view, ask, assignment)  # (5)
        request = _request(view, ask, assignment)  # (6)
    edges = tuple(dict.fromkeys(e for a in candidates for e in _edges(view, ask, a)))
    for assignment in candidates:  # (7)
        rounds.check_counts(view.state, view.tree, view.history, assignment.path, ask.kind)
        lag = min(view.tree.ddos[dt].terms.lag for dt in assignment.path if dt in view.tree.ddos)
        rounds.check_log(view.state, view.log, view.history, lag)
        rounds.check_previous(view.tree, view.log, assignment.path, request, ask)
    chosen = candidates[0]
    return Lease(
        job=ask.job,
        request=request,
        run=ask.run,
        asset=ask.asset,
        path=chosen.path,
        operation=chosen.operation,
        kind=ask.kind,
        edges=edges,
        sequence=1 + rounds.messages_so_far(view.history, edges),
        replies=view.operations[chosen.operation].replies,
        head=view.state.head,
        round=view.state.round,
        block_number=view.state.block_number,
        counter=view.state.counter,
    )


def _fresh(view: View, ask: Ask) -> None:
    """Check (0): right chain, not stale, not rolled back."""
    state, history = view.state, view.history
    if state.chain_id != view.network.chain_id:
        raise Refused(
            Reason.WRONG_CHAIN,
            f"The node serves chain {state.chain_id}, not {view.network.chain_id}.",
        )
    if state.block_number < history.last_block:
        raise Refused(
            Reason.ROLLED_BACK_VIEW,
            f"The node shows block {state.block_number}; {history.last_block} was seen before.",
        )
    if abs(state.time - ask.now) > ask.clock_bound:
        raise Refused(
            Reason.STALE_VIEW,
            f"Chain time and own clock are {abs(state.time - ask.now)} s apart "
            f"({ask.clock_bound} s are allowed).",
        )


def _job(view: View, ask: Ask) -> None:
    """Check (1), the part that is the same for every position."""
    job = view.state.job
    if job.id != ask.job or job.status is JobStatus.NONE:
        raise Refused(Reason.JOB_UNKNOWN, f"Job {ask.job[:10]}… is not on the task market.")
    if job.status is not JobStatus.OPEN:
        raise Refused(Reason.JOB_NOT_OPEN, f"Job {job.id[:10]}… is {job.status.name.lower()}.")
    if not job.task_open:
        raise Refused(Reason.TASK_NOT_OPEN, f"Task {job.task} is closed.")
    if not job.guarantor_registered:
        raise Refused(
            Reason.GUARANTOR_NOT_REGISTERED,
            f"The guarantor {job.guarantor} is no registered institution any more.",
        )


def _candidates(view: View, ask: Ask) -> list[Assignment]:
    """Return the assignments of the asset that run the presented bundle (4, first half)."""
    assignments = view.tree.assignments(ask.asset)
    if not assignments:
        raise Refused(
            Reason.NOT_IN_JOB,
            f"DT {ask.asset[:10]}… has no position in job {ask.job[:10]}… that runs anything.",
        )
    found = [
        assignment
        for assignment in assignments
        if (record := view.state.operations.get(assignment.operation)) is not None
        and record.exists
        and record.bundle == ask.bundle
    ]
    if not found:
        raise Refused(
            Reason.OPERATION_MISMATCH,
            f"The code presented ({ask.bundle[:10]}…) is not what the workflow gives to DT "
            f"{ask.asset[:10]}….",
        )
    return found


def _announced(view: View, assignment: Assignment) -> None:
    for dt in assignment.path[1:-1]:
        announced = view.state.announcements.get(dt, ZERO32)
        if announced == ZERO32:
            raise Refused(
                Reason.NOT_ANNOUNCED,
                f"The owner of composite {dt[:10]}… has not announced the job.",
            )


def recorder_of(ddos: Mapping[Hex32, Ddo], path: tuple[Hex32, ...]) -> RecorderRef | None:
    """Return the recorder that the nearest composite names, else the algorithm."""
    for dt in path:
        if dt in ddos and ddos[dt].children:
            recorder = ddos[dt].service.extra_params.recorder
            if recorder is not None:
                return recorder
    return None


def _recorder(view: View, assignment: Assignment) -> None:
    named = recorder_of(view.tree.ddos, assignment.path)
    if named is None or named.account != view.state.job.recorder:
        shown = named.account if named else "none"
        raise Refused(
            Reason.RECORDER_MISMATCH,
            f"The job was posted with recorder {view.state.job.recorder}; the DDO names {shown}.",
        )


def _guarantor(view: View, assignment: Assignment) -> None:
    guarantor = view.state.job.guarantor
    for dt in assignment.path:
        accepted = view.tree.ddos[dt].terms.guarantors if dt in view.tree.ddos else []
        if accepted and guarantor not in accepted:
            raise Refused(
                Reason.GUARANTOR_NOT_ACCEPTED,
                f"The terms of {dt[:10]}… do not accept the guarantor {guarantor}.",
            )


def _granted(view: View, ask: Ask, assignment: Assignment) -> None:
    """Check (3): the path of grants, and the participants that still grant."""
    state, moment = view.state, max(view.state.time, ask.now)
    for dt in assignment.path:
        record = state.records.get(dt)
        if record is None or not record.exists or not record.owner_active:
            raise Refused(
                Reason.OWNER_REMOVED, f"The owner of {dt[:10]}… is no participant any more."
            )
    for child, parent in zip(assignment.path, assignment.path[1:], strict=False):
        grant = state.grants.get((parent, child))
        edge = f"from {child[:10]}… to {parent[:10]}…"
        if grant is None or not (grant.active or grant.epoch):
            raise Refused(Reason.GRANT_MISSING, f"There is no grant {edge}.")
        if not grant.active:
            raise Refused(Reason.GRANT_REVOKED, f"The grant {edge} was revoked.")
        if grant.expiry and grant.expiry <= moment:
            raise Refused(Reason.GRANT_EXPIRED, f"The grant {edge} expired at {grant.expiry}.")
    for level, parent in enumerate(assignment.path):
        children = view.tree.ddos[parent].children if parent in view.tree.ddos else []
        if not children:
            continue
        standing = sum(_stands(state, parent, child, moment) for child in children)
        needed = rounds.minimum(view.tree, assignment.path, level, all_required=ask.all_required)
        if standing < needed:
            raise Refused(
                Reason.TOO_FEW_PARTICIPANTS,
                f"{standing} of {len(children)} children still grant {parent[:10]}…; "
                f"the terms ask for {needed}.",
            )


def _stands(state: ChainState, parent: Hex32, child: Hex32, moment: int) -> bool:
    grant, record = state.grants.get((parent, child)), state.records.get(child)
    if grant is None or record is None or not record.owner_active:
        return False
    return grant.active and not (grant.expiry and grant.expiry <= moment)


def _operation(view: View, ask: Ask, assignment: Assignment) -> None:
    """Check (4): supported, registered, not retired, answers this kind, lock holds."""
    ddo = view.tree.ddos.get(ask.asset)
    own = {op for flow in ddo.service.workflows for op in flow.operations("self")} if ddo else set()
    supported = set(ddo.service.supported_ops) if ddo else set()
    if assignment.operation not in supported | own:
        raise Refused(
            Reason.OPERATION_UNSUPPORTED,
            f"DT {ask.asset[:10]}… does not support operation {assignment.operation[:10]}….",
        )
    document = _registered(view, assignment.operation)
    if assignment.server_operation not in (None, assignment.operation):
        _registered(view, str(assignment.server_operation))
    if ask.kind not in document.messages:
        raise Refused(
            Reason.MESSAGE_KIND_NOT_ANSWERED,
            f"Operation {document.name} does not answer {ask.kind.value} messages.",
        )
    for name, version in document.lock.items():
        if (present := ask.installed.get(name)) != version:
            raise Refused(
                Reason.LOCK_MISMATCH,
                f"Operation {document.name} is locked to {name} {version}; "
                f"{present or 'none'} is installed.",
            )


def _registered(view: View, operation: Hex32) -> OperationDocument:
    record = view.state.operations.get(operation)
    document = view.operations.get(operation)
    if record is None or not record.exists or document is None:
        raise Refused(
            Reason.OPERATION_NOT_REGISTERED, f"Operation {operation[:10]}… is not registered."
        )
    if record.retired:
        raise Refused(Reason.OPERATION_RETIRED, f"Operation {document.name} was retired.")
    kind = OPERATION_KINDS[document.kind]
    if (document.digest(), document.bundle, kind) != (
        record.metadata,
        record.bundle,
        OperationKind(record.kind),
    ):
        raise Refused(
            Reason.DOCUMENT_MISMATCH,
            f"The document of operation {operation[:10]}… does not hash to its record.",
        )
    return document


def _parameters(view: View, ask: Ask, assignment: Assignment) -> None:
    """Check (5): schemas closed over the app's operations, terms of every level."""
    operations = dict.fromkeys([assignment.operation, assignment.server_operation])
    if assignment.operation == assignment.server_operation:
        operations |= dict.fromkeys(view.tree.partners(assignment))
    documents = [view.operations[op] for op in operations if op and op in view.operations]
    found: list[str] = []
    for declared, values in [
        ([d.parameters for d in documents], ask.parameters),
        *(([d.records for d in documents], record) for record in ask.records.values()),
    ]:
        known = {name for schema in declared for name in schema}
        found += [f"parameter {name!r} is not declared" for name in values if name not in known]
        for schema in declared:
            found += violations(schema, values, closed=False)
    for operation, name, value in assignment.fixed:
        if operation in operations and (
            name not in ask.parameters or not same(ask.parameters[name], value)
        ):
            found.append(f"parameter {name!r} is not the {value!r} that the workflow fixes")
    purpose = view.tree.ddos[view.tree.algorithm].service.extra_params.purpose
    for dt in assignment.path:
        if dt not in view.tree.ddos:
            continue
        terms = view.tree.ddos[dt].terms
        for values in (ask.parameters, *ask.records.values()):
            found += [
                f"{why} (terms of {dt[:10]}…)"
                for why in violations(terms.parameters, values, closed=False)
            ]
        if terms.expiry is not None and terms.expiry <= max(view.state.time, ask.now):
            raise Refused(Reason.TERMS_EXPIRED, f"The terms of {dt[:10]}… have expired.")
        if terms.purposes and dt != view.tree.algorithm and purpose not in terms.purposes:
            raise Refused(
                Reason.PURPOSE_NOT_ACCEPTED,
                f"The terms of {dt[:10]}… do not accept the purpose {purpose!r}.",
            )
    if found:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, "; ".join(dict.fromkeys(found)) + ".")


def _request(view: View, ask: Ask, assignment: Assignment) -> Hex32:
    """Check (6) and return the digest of the compute request."""
    if view.request is None:
        raise Refused(Reason.REQUEST_MISSING, "There is no compute request for this run.")
    signed, request, digest = view.request, view.request.request, view.request.digest()
    for dt in assignment.path[1:-1]:
        if view.state.announcements.get(dt) != digest:
            raise Refused(
                Reason.REQUEST_MISMATCH,
                f"The owner of composite {dt[:10]}… has announced another compute request.",
            )
    expected = (view.network.chain_id, view.network.market, ask.job, ask.artefact)
    if (request.chain_id, request.market, request.job, request.operation) != expected:
        raise Refused(
            Reason.REQUEST_MISMATCH,
            "The compute request names another chain, market, job or operation.",
        )
    if request.parameters != parameters_digest(ask.parameters):
        raise Refused(Reason.REQUEST_MISMATCH, "The compute request names other parameters.")
    if request.audience not in assignment.path:
        raise Refused(
            Reason.REQUEST_MISMATCH,
            f"The compute request addresses {request.audience[:10]}…, not DT {ask.asset[:10]}….",
        )
    owner = view.state.records[view.tree.algorithm].owner
    if signed.signer() != owner:
        raise Refused(
            Reason.REQUEST_SIGNATURE, "The compute request is not signed by the algorithm's owner."
        )
    pinned = view.history.pinned_run
    if pinned is not None and pinned != ask.run:
        raise Refused(Reason.REQUEST_REPLAYED, "The compute request has started another run.")
    if pinned is None and request.deadline <= max(view.state.time, ask.now):
        raise Refused(
            Reason.REQUEST_EXPIRED, f"The compute request was good until {request.deadline}."
        )
    return digest


def _edges(view: View, ask: Ask, assignment: Assignment) -> list[EdgeKey]:
    return [
        (parent, child, view.state.grants[(parent, child)].epoch, ask.kind)
        for child, parent in zip(assignment.path, assignment.path[1:], strict=False)
    ]
