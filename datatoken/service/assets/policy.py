"""The owner's policy: what happens to a request that keeps to the terms. Pure."""

from dataclasses import dataclass

from datatoken.service.assets.models import AuthorizationState, PolicyMode
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address, Hex32

MAX_QUEUED = 200
MAX_QUEUED_EACH = 10


@dataclass(frozen=True)
class Policy:
    """How one asset's requests are answered.

    Attributes
    ----------
    expiry : int
        Seconds that a grant given by `auto` lasts; 0: without end.
    max_rounds : int
        Messages of each kind that it allows; 0: without limit.
    requesters : frozenset of Address
        Whom `auto` answers; others wait for a human. Empty: anybody within the terms.
    """

    mode: PolicyMode = PolicyMode.QUEUE
    expiry: int = 0
    max_rounds: int = 0
    requesters: frozenset[Address] = frozenset()


@dataclass(frozen=True, slots=True)
class Queue:
    """How many requests wait: at this service, and of this requester."""

    all: int
    own: int


def admit(policy: Policy, child: Hex32, queue: Queue) -> None:
    """Refuse a request before anything is read for it; raise `ServiceError`."""
    if policy.mode is PolicyMode.REFUSE:
        raise ServiceError(
            ServiceCode.POLICY, f"The owner gives no grants of DT {child[:10]}… through a service."
        )
    if queue.own >= MAX_QUEUED_EACH:
        raise ServiceError(
            ServiceCode.TOO_MANY, f"{MAX_QUEUED_EACH} requests of this account wait already."
        )
    if queue.all >= MAX_QUEUED:
        raise ServiceError(ServiceCode.TOO_MANY, f"{MAX_QUEUED} requests wait already.")


def decide(policy: Policy, requester: Address) -> AuthorizationState:
    """Return what becomes of a request within the terms."""
    known = not policy.requesters or requester in policy.requesters
    if policy.mode is PolicyMode.AUTO and known:
        return AuthorizationState.APPROVED
    return AuthorizationState.QUEUED
