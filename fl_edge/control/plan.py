"""What a job runs, built from the registered bundles: the FAB, its parameters, its request."""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.authorization.tree import Assignment, VerifiedTree
from datatoken.ddo.operation import OperationDocument
from datatoken.ddo.terms import violations
from datatoken.errors import BadInputError
from datatoken.roles.documents import Operation
from datatoken.roles.providers import AlgorithmProvider
from datatoken.roles.site import Site
from datatoken.types import ZERO32, Hex32, JobStatus, Scalar, sha256_hex
from fl_edge.fab import build_fab, effective_config


@dataclass(frozen=True)
class Plan:
    """A governed run that can be asked for.

    Attributes
    ----------
    server : Hex32
        The DT whose SuperLink runs the server side; `composite` when its owner announces.
    document : OperationDocument
        Of the operation on that side.
    fab : bytes
    parameters : mapping
        The effective run configuration; `overrides` the part of it that is sent along.
    """

    job: Hex32
    algorithm: Hex32
    server: Hex32
    document: OperationDocument
    fab: bytes
    overrides: Mapping[str, Scalar]
    parameters: Mapping[str, Scalar]

    @property
    def artefact(self) -> Hex32:
        """Return the sha256 of the FAB."""
        return sha256_hex(self.fab)

    @property
    def composite(self) -> bool:
        """Tell whether a composite's owner has to announce the run."""
        return self.server != self.algorithm


def make_plan(site: Site, job: Hex32, overrides: Mapping[str, Scalar]) -> Plan:
    """Read the job from chain and store, verify it, and build what it runs.

    Raises
    ------
    Refused
        JOB_UNKNOWN, JOB_NOT_OPEN, OPERATION_RETIRED, PARAMETERS_OUTSIDE_TERMS, …
    BadInputError
        When the job is not one Flower app, or an override is not declared.
    """
    found = site.reader.job(job)
    if found.status is JobStatus.NONE or found.algorithm == ZERO32:
        raise Refused(Reason.JOB_UNKNOWN, f"Job {job[:10]}… is not on the task market.")
    if found.status is not JobStatus.OPEN:
        raise Refused(Reason.JOB_NOT_OPEN, f"Job {job[:10]}… is {found.status.name.lower()}.")
    tree = site.documents.tree(found.algorithm)
    server, client = _halves(site, tree)
    documents = [client.document, site.documents.operation(server.operation).document]
    bundles = [site.documents.bundle(document) for document in documents]
    fab = build_fab(bundles[0], None if client.document.kind == "app" else bundles[1])
    parameters = effective_config(fab, overrides)
    _check_parameters(parameters, documents, tree, server)
    return Plan(
        job, found.algorithm, server.path[0], documents[1], fab, dict(overrides), parameters
    )


def _halves(site: Site, tree: VerifiedTree) -> tuple[Assignment, Operation]:
    """Return the one server side of a job and the one operation that it drives."""
    servers = [
        assignment
        for dt, ddo in tree.ddos.items()
        if ddo.children
        for assignment in tree.assignments(dt)
    ]
    pairs: dict[tuple[Hex32, Hex32, Hex32], tuple[Assignment, Operation]] = {}
    for server in servers:
        for operation in tree.partners(server):
            client = site.documents.operation(operation)
            if client.document.kind in ("client", "app"):
                pairs[(server.path[0], server.operation, operation)] = (server, client)
    if len(pairs) != 1:
        raise BadInputError(
            f"The job holds {len(pairs)} Flower apps; exactly one can be run.",
            "A workflow gives one operation to all children and one to self.",
        )
    server, client = next(iter(pairs.values()))
    for half in (client, site.documents.operation(server.operation)):
        if half.record.retired:
            raise Refused(Reason.OPERATION_RETIRED, f"Operation {half.document.name} was retired.")
    return server, client


def _check_parameters(
    parameters: Mapping[str, Scalar],
    documents: list[OperationDocument],
    tree: VerifiedTree,
    server: Assignment,
) -> None:
    """Say at once what the gates would refuse: schemas, and the terms that are known here."""
    found: list[str] = []
    for document in documents:
        found += violations(document.parameters, parameters, closed=False)
    for dt in server.path:
        found += violations(tree.ddos[dt].terms.parameters, parameters, closed=False)
    for _, name, value in server.fixed:
        if parameters.get(name, value) != value:
            found.append(f"parameter {name!r} is fixed to {value!r} by the workflow")
    if found:
        raise Refused(Reason.PARAMETERS_OUTSIDE_TERMS, "; ".join(dict.fromkeys(found)) + ".")


def sign(plan: Plan, provider: AlgorithmProvider) -> SignedRequest:
    """Sign the compute request of a plan as the algorithm's owner, and store it."""
    return provider.sign_request(
        plan.job, plan.artefact, dict(plan.parameters), audience=plan.server
    )
