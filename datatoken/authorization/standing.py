"""Steps (0), (1) and (3): the view, the job, and who still grants."""

from collections.abc import Mapping

from datatoken.authorization import rounds
from datatoken.authorization.ask import Ask, View
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.tree import Assignment
from datatoken.authorization.view import ChainState
from datatoken.ddo.models import Ddo, RecorderRef
from datatoken.types import ZERO32, Hex32, JobStatus


def check_fresh(view: View, ask: Ask) -> None:
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


def check_job(view: View, ask: Ask) -> None:
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


def check_announced(view: View, assignment: Assignment) -> None:
    """Check (1): every composite on the way has announced the job."""
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


def check_recorder(view: View, assignment: Assignment) -> None:
    """Check (1): the recorder is the one that the DDO names."""
    named = recorder_of(view.tree.ddos, assignment.path)
    if named is None or named.account != view.state.job.recorder:
        shown = named.account if named else "none"
        raise Refused(
            Reason.RECORDER_MISMATCH,
            f"The job was posted with recorder {view.state.job.recorder}; the DDO names {shown}.",
        )


def check_guarantor(view: View, assignment: Assignment) -> None:
    """Check (1): the terms of every level accept the guarantor."""
    guarantor = view.state.job.guarantor
    for dt in assignment.path:
        accepted = view.tree.ddos[dt].terms.guarantors if dt in view.tree.ddos else []
        if accepted and guarantor not in accepted:
            raise Refused(
                Reason.GUARANTOR_NOT_ACCEPTED,
                f"The terms of {dt[:10]}… do not accept the guarantor {guarantor}.",
            )


def check_granted(view: View, ask: Ask, assignment: Assignment) -> None:
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
