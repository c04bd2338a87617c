"""The requester's side: what is asked, signed, and put where all parties find it."""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import ComputeRequest, SignedRequest, mpc_artefact
from datatoken.authorization.request import parameters_digest as digest_of
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.operation import OperationDocument
from datatoken.roles.providers import AlgorithmProvider
from datatoken.roles.site import Site
from datatoken.types import ZERO32, Hex32, JobStatus, Scalar
from rtt_tracer.agreement.parameters import effective_parameters, fixed_parameters
from rtt_tracer.agreement.plan import Plan, make_plan

FORM_SIGNATURE = "0x" + "00" * 65


@dataclass(frozen=True)
class Wish:
    """A run that can be asked for: what it runs, and with which parameters.

    Attributes
    ----------
    plan : Plan
        Of a request that is not signed yet: its `request` and `run` stand for nothing.
    operations : mapping of Hex32 to OperationDocument
        The MPC operations.
    """

    plan: Plan
    operations: Mapping[Hex32, OperationDocument]


def make_wish(site: Site, job: Hex32, given: Mapping[str, Scalar]) -> Wish:
    """Read a job from chain and store, verify it, and derive what a run of it would be.

    Raises
    ------
    Refused
        JOB_UNKNOWN, JOB_NOT_OPEN, OPERATION_RETIRED, PROTOCOL_INSECURE, …
    BadInputError
        When the parameters do not fit, or the job is no MPC job.
    """
    found = site.reader.job(job)
    if found.status is JobStatus.NONE or found.algorithm == ZERO32:
        raise Refused(Reason.JOB_UNKNOWN, f"Job {job[:10]}… is not on the task market.")
    if found.status is not JobStatus.OPEN:
        raise Refused(Reason.JOB_NOT_OPEN, f"Job {job[:10]}… is {found.status.name.lower()}.")
    tree = site.documents.tree(found.algorithm)
    documents = {}
    for operation in tree.operations():
        one = site.documents.operation(operation)
        if one.record.retired:
            raise Refused(Reason.OPERATION_RETIRED, f"Operation {one.document.name} was retired.")
        documents[operation] = one.document
    mpc = {id: document for id, document in documents.items() if document.kind == "mpc"}
    parameters = effective_parameters(mpc.values(), fixed_parameters(tree, mpc), given)
    artefact = mpc_artefact(mpc[id].bundle for id in tree.operations() if id in mpc)
    form = ComputeRequest(
        chain_id=site.network.chain_id,
        market=site.network.market,
        job=job,
        operation=artefact,
        parameters=digest_of(parameters),
        audience=found.algorithm,
        nonce=0,
        deadline=0,
    )
    dts = list(dict.fromkeys([found.algorithm, *(child for _, child in tree.edges())]))
    plan = make_plan(
        tree,
        documents,
        site.documents.find(dts),
        SignedRequest(request=form, signature=FORM_SIGNATURE),
        parameters,
    )
    return Wish(plan, mpc)


def sign_wish(
    provider: AlgorithmProvider, wish: Wish, *, deadline: int | None = None
) -> SignedRequest:
    """Sign the compute request as the algorithm's owner; it and its parameters are stored."""
    plan, parameters = wish.plan, dict(wish.plan.parameters)
    provider.site.store.put(canonical_bytes(parameters))
    return provider.sign_request(plan.job, plan.artefact, parameters, deadline=deadline)
