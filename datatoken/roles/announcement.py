"""The check of a compute request by a composite's owner, before it announces the job.

A pure function; its reason codes are those of the decision's steps (1), (3) and (6), which
every gate below takes again.
"""

from itertools import pairwise

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import ChainState, Network
from datatoken.types import Hex32, JobStatus


def check_request(
    state: ChainState,
    tree: VerifiedTree,
    network: Network,
    signed: SignedRequest,
    composite: Hex32,
    *,
    now: int,
    artefact: Hex32 | None = None,
    parameters: Hex32 | None = None,
) -> None:
    """Refuse a compute request that the gates below `composite` would refuse.

    Parameters
    ----------
    state : ChainState
        Job, records and grants at one block.
    tree : VerifiedTree
        The job's algorithm and its composites.
    composite : Hex32
        The DT whose owner is asked.
    now : int
        Unix time in seconds.
    artefact, parameters : Hex32, optional
        Digests of what is going to run, where the owner has built it: the request must name
        the same.

    Raises
    ------
    Refused
    """
    _check_job(state, signed)
    request = signed.request
    if (request.chain_id, request.market) != (network.chain_id, network.market):
        raise Refused(Reason.REQUEST_MISMATCH, "The compute request names another chain or market.")
    path = _standing_path(state, tree, composite, now)
    if request.audience not in path:
        raise Refused(
            Reason.REQUEST_MISMATCH,
            f"The compute request addresses {request.audience[:10]}…, not {composite[:10]}….",
        )
    for name, own, asked in (
        ("operation bytes", artefact, request.operation),
        ("parameters", parameters, request.parameters),
    ):
        if own is not None and own != asked:
            raise Refused(Reason.REQUEST_MISMATCH, f"The compute request names other {name}.")
    if signed.signer() != state.records[tree.algorithm].owner:
        raise Refused(
            Reason.REQUEST_SIGNATURE,
            "The compute request is not signed by the algorithm's owner.",
        )
    if request.deadline <= max(state.time, now):
        raise Refused(
            Reason.REQUEST_EXPIRED, f"The compute request was good until {request.deadline}."
        )


def _check_job(state: ChainState, signed: SignedRequest) -> None:
    job = state.job
    if job.status is JobStatus.NONE or signed.request.job != job.id:
        raise Refused(
            Reason.JOB_UNKNOWN, f"Job {signed.request.job[:10]}… is not on the task market."
        )
    if job.status is not JobStatus.OPEN:
        raise Refused(Reason.JOB_NOT_OPEN, f"Job {job.id[:10]}… is {job.status.name.lower()}.")
    if not job.task_open:
        raise Refused(Reason.TASK_NOT_OPEN, f"Task {job.task} is closed.")
    if not job.guarantor_registered:
        raise Refused(
            Reason.GUARANTOR_NOT_REGISTERED,
            f"The guarantor {job.guarantor} is no registered institution any more.",
        )


def _standing_path(
    state: ChainState, tree: VerifiedTree, composite: Hex32, now: int
) -> tuple[Hex32, ...]:
    """Return the first path from the composite to the algorithm whose grants all stand."""
    paths = tree.paths(composite)
    if not paths:
        raise Refused(
            Reason.NOT_IN_JOB, f"DT {composite[:10]}… has no position in job {state.job.id[:10]}…."
        )
    broken: Refused | None = None
    for path in paths:
        try:
            for child, parent in pairwise(path):
                _check_grant(state, child, parent, now)
        except Refused as refused:
            broken = broken or refused
        else:
            return path
    assert broken is not None
    raise broken


def _check_grant(state: ChainState, child: Hex32, parent: Hex32, now: int) -> None:
    grant = state.grants[(parent, child)]
    edge = f"from {child[:10]}… to {parent[:10]}…"
    if not grant.active:
        reason = Reason.GRANT_REVOKED if grant.epoch else Reason.GRANT_MISSING
        raise Refused(reason, f"There is no grant {edge}.")
    if grant.expiry and grant.expiry <= max(state.time, now):
        raise Refused(Reason.GRANT_EXPIRED, f"The grant {edge} expired at {grant.expiry}.")
