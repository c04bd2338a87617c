"""Steps (4), (5) and (6): the operation, the parameters, the compute request."""

from collections.abc import Mapping

from datatoken.authorization.ask import Ask, View
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import parameters_digest
from datatoken.authorization.tree import Assignment
from datatoken.ddo.operation import OPERATION_KINDS, OperationDocument
from datatoken.ddo.terms import Constraint, same, violations
from datatoken.errors import BadInputError
from datatoken.types import Hex32, OperationKind, Scalar


def candidates_of(view: View, ask: Ask) -> list[Assignment]:
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


def check_operation(view: View, ask: Ask, assignment: Assignment) -> None:
    """Check (4): supported, registered, not retired, answers this kind, lock holds."""
    ddo = view.tree.ddos.get(ask.asset)
    own = {op for flow in ddo.service.workflows for op in flow.operations("self")} if ddo else set()
    supported = set(ddo.service.supported_ops) if ddo else set()
    if assignment.operation not in supported | own:
        raise Refused(
            Reason.OPERATION_UNSUPPORTED,
            f"DT {ask.asset[:10]}… does not support operation {assignment.operation[:10]}….",
        )
    for dt in assignment.through:
        if assignment.operation not in view.tree.ddos[dt].service.supported_ops:
            raise Refused(
                Reason.OPERATION_UNSUPPORTED,
                f"Composite {dt[:10]}… does not support the operation "
                f"{assignment.operation[:10]}… that is given to it.",
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


def check_replies(view: View, candidates: list[Assignment]) -> None:
    """Check (4): operations with the same bytes must agree on what may leave.

    A lease carries one reply policy; nobody can pick the laxer one.
    """
    policies = [view.operations[assignment.operation].replies for assignment in candidates]
    if any(policy != policies[0] for policy in policies):
        raise Refused(
            Reason.OPERATION_MISMATCH,
            "The code presented is registered as several operations that let other things leave.",
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
    found = (document.digest(), document.bundle, int(OPERATION_KINDS[document.kind]))
    if found != (record.metadata, record.bundle, record.kind):
        raise Refused(
            Reason.DOCUMENT_MISMATCH,
            f"The document of operation {operation[:10]}… does not hash to its record.",
        )
    return document


def check_parameters(view: View, ask: Ask, assignment: Assignment) -> None:
    """Check (5): schemas closed over the app's operations, terms of every level."""
    operations = dict.fromkeys([assignment.operation, assignment.server_operation])
    serves = assignment.operation == assignment.server_operation
    if serves:
        operations |= dict.fromkeys(view.tree.partners(assignment))
    mpc = view.state.operations[assignment.operation].kind == OperationKind.MPC
    if mpc:
        operations |= dict.fromkeys(_parties_operations(view))
    documents = [view.operations[op] for op in operations if op and op in view.operations]
    # Server and clients share a run configuration; a message's records are the receiver's alone.
    receivers = documents if serves else [view.operations[assignment.operation]]
    found: list[str] = []
    for declared, values in [
        ([d.parameters for d in documents], ask.parameters),
        *(([d.records for d in receivers], record) for record in ask.records.values()),
    ]:
        known = {name for schema in declared for name in schema}
        found += [f"parameter {name!r} is not declared" for name in values if name not in known]
        for schema in declared:
            found += violations(schema, values, closed=False)
    for operation, name, value in assignment.fixed:
        if operation in operations:
            found += _unlike(name, value, ask)
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
        if mpc:
            found += _left_out(terms.parameters, documents, ask, dt)
        if terms.expiry is not None and terms.expiry <= max(view.state.time, ask.now):
            raise Refused(Reason.TERMS_EXPIRED, f"The terms of {dt[:10]}… have expired.")
        if terms.purposes and dt != view.tree.algorithm and purpose not in terms.purposes:
            raise Refused(
                Reason.PURPOSE_NOT_ACCEPTED,
                f"The terms of {dt[:10]}… do not accept the purpose {purpose!r}.",
            )
    if found:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, "; ".join(dict.fromkeys(found)) + ".")


def _left_out(
    terms: Mapping[str, Constraint], documents: list[OperationDocument], ask: Ask, dt: Hex32
) -> list[str]:
    """Return the parameters that an owner restricts and the request leaves to their defaults.

    Code may have a default of its own: what is not said would not be held against the terms.
    """
    declared = {name for document in documents for name in document.parameters}
    return [
        f"parameter {name!r} is left out (terms of {dt[:10]}…)"
        for name in terms
        if name in declared and name not in ask.parameters
    ]


def _parties_operations(view: View) -> list[Hex32]:
    """Return the MPC operations of the whole tree: all parties share one run configuration."""
    return [
        operation
        for operation in view.tree.operations()
        if (record := view.state.operations.get(operation)) is not None
        and record.kind == OperationKind.MPC
    ]


def _unlike(name: str, value: Scalar, ask: Ask) -> list[str]:
    """Return what is wrong where a workflow fixes a parameter: a record can't loosen it."""
    given = [record[name] for record in ask.records.values() if name in record]
    if name in ask.parameters:
        given.append(ask.parameters[name])
    if name in ask.parameters and all(same(one, value) for one in given):
        return []
    return [f"parameter {name!r} is not the {value!r} that the workflow fixes"]


def check_request(view: View, ask: Ask, assignment: Assignment) -> Hex32:
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
    try:
        parameters = parameters_digest(ask.parameters)
    except BadInputError as error:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, error.message) from None
    if request.parameters != parameters:
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
