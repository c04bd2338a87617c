"""The decision: a pure function of a view (`decision`), and what feeds it.

`view`, `tree`, `rounds`, `reasons`, `request` and `decision` do no I/O. `history` keeps the
owner's own memory; `gate` reads chain and store and asks the decision.
"""

from datatoken.authorization.decision import Ask, Lease, View, authorize
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import (
    ComputeRequest,
    SignedRequest,
    parameters_digest,
    parse_request,
)
from datatoken.authorization.tree import Assignment, VerifiedTree, verify_ddo, verify_tree

__all__ = [
    "Ask",
    "Assignment",
    "ComputeRequest",
    "Lease",
    "Reason",
    "Refused",
    "SignedRequest",
    "VerifiedTree",
    "View",
    "authorize",
    "parameters_digest",
    "parse_request",
    "verify_ddo",
    "verify_tree",
]
