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

from dataclasses import replace

from datatoken.authorization import presented, rounds, standing
from datatoken.authorization.ask import Ask, Lease, View
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.standing import recorder_of
from datatoken.authorization.tree import Assignment
from datatoken.authorization.view import EdgeKey
from datatoken.types import OperationKind

__all__ = ["Ask", "Lease", "View", "authorize", "recorder_of"]


def authorize(view: View, ask: Ask) -> Lease:
    """Decide on one message; return a lease or raise `Refused`.

    Where an asset has several positions that run the presented operation, every one of them
    must allow it: nobody can pick the laxer one.

    Raises
    ------
    Refused
        With the reason of the first step that fails.
    """
    standing.check_fresh(view, ask)  # (0)
    standing.check_job(view, ask)  # (1)
    if view.tree.algorithm != view.state.job.algorithm:  # (2)
        raise Refused(Reason.DOCUMENT_MISMATCH, "The documents are those of another algorithm.")
    candidates = presented.candidates_of(view, ask)
    if any(view.state.operations[a.operation].kind == OperationKind.MPC for a in candidates):
        ask = replace(ask, all_required=True)  # nobody has to say so: the chain does
    for assignment in candidates:
        standing.check_announced(view, assignment)  # (1)
        standing.check_recorder(view, assignment)  # (1)
        standing.check_guarantor(view, assignment)  # (1)
        standing.check_granted(view, ask, assignment)  # (3)
        presented.check_operation(view, ask, assignment)  # (4)
        presented.check_parameters(view, ask, assignment)  # (5)
        request = presented.check_request(view, ask, assignment)  # (6)
    presented.check_replies(view, candidates)  # (4)
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


def _edges(view: View, ask: Ask, assignment: Assignment) -> list[EdgeKey]:
    return [
        (parent, child, view.state.grants[(parent, child)].epoch, ask.kind)
        for child, parent in zip(assignment.path, assignment.path[1:], strict=False)
    ]
