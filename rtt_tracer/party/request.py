"""What is asked of this party: the request, its parameters, the plan. Documents only."""

from collections.abc import Mapping
from dataclasses import dataclass

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import MAX_REQUEST_BYTES, SignedRequest, parse_request
from datatoken.ddo.operation import OperationDocument
from datatoken.errors import BadInputError
from datatoken.service.assets.parameters import read_parameters
from datatoken.types import ZERO32, Hex32
from rtt_tracer.agreement.plan import Participant, Plan, make_plan
from rtt_tracer.bundle import read_bundle
from rtt_tracer.engines.base import Role
from rtt_tracer.party.owner import OwnerSide
from rtt_tracer.program import Program


@dataclass(frozen=True)
class Task:
    """What this party is to do.

    Attributes
    ----------
    bundle : bytes
        The registered bytes of the own operation.
    programs : mapping of Hex32 to Program
        By operation, of all participants: the number of stages follows from them.
    """

    plan: Plan
    me: Participant
    document: OperationDocument
    bundle: bytes
    programs: Mapping[Hex32, Program]

    @property
    def program(self) -> Program:
        """The own program."""
        return self.programs[self.me.operation]

    @property
    def last(self) -> int:
        """Number of the last stage; raise `BadInputError` when the parameters give none."""
        counts = [
            self.programs[one.operation].stage_count(self.plan.parameters)
            for one in self.plan.participants
            if one.role is not Role.SPU_SHARE
        ]
        return max(counts, default=0)


def read_task(side: OwnerSide, job: Hex32, request: Hex32) -> Task:
    """Read chain and store, verify, and derive what this party is to do.

    Raises
    ------
    Refused
        With the first reason; nothing was started.
    BadInputError
        When the request's parameters or the bundle are unsound.
    """
    with as_refusals():
        signed = _request(side, request)
        parameters = read_parameters(side.store, signed)
    if signed.request.job != job:
        raise Refused(Reason.REQUEST_MISMATCH, "The compute request names another job.")
    if side.history.pinned(signed) is not None:
        raise Refused(Reason.REQUEST_REPLAYED, "The compute request has started a run before.")
    tree, documents = side.gatekeeper.tree(job), side.gatekeeper.documents(job)
    with as_refusals():
        edges = [(child, parent) for parent, child in tree.edges()]
        records = side.reader.snapshot(job, [(tree.algorithm, ZERO32), *edges]).records
    plan = make_plan(tree, documents, records, signed, parameters)
    me = plan.of(side.dt)
    bundles = {
        operation: side.gatekeeper.bundle(documents[operation])
        for operation in dict.fromkeys(one.operation for one in plan.participants)
    }
    programs = {operation: read_bundle(content).program for operation, content in bundles.items()}
    return Task(plan, me, documents[me.operation], bundles[me.operation], programs)


def _request(side: OwnerSide, digest: Hex32) -> SignedRequest:
    try:
        signed = parse_request(side.store.get(digest, MAX_REQUEST_BYTES))
    except BadInputError as error:
        raise Refused(Reason.REQUEST_MISMATCH, error.message) from None
    if signed.digest() != digest:
        raise Refused(Reason.REQUEST_MISMATCH, "The store gave another compute request.")
    return signed
