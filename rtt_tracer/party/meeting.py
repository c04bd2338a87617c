"""How the parties of a run find each other: introductions at the job's recorder."""

import time
from collections.abc import Callable, Mapping

import structlog

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError, DataTokenError
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import (
    Introduction,
    SignedIntroduction,
    parse_introduction,
    sign_introduction,
)
from rtt_tracer.agreement.joining import known, missing
from rtt_tracer.agreement.plan import Plan
from rtt_tracer.party.owner import OwnerSide

log = structlog.get_logger(__name__)
POLL = 0.3


def meet(
    side: OwnerSide,
    plan: Plan,
    introduction: Introduction,
    *,
    deadline: float,
    seen: Callable[[Hex32], None],
    wait: Callable[[float], None],
) -> Mapping[Hex32, SignedIntroduction]:
    """Introduce this party and wait until all others have done so.

    Parameters
    ----------
    deadline : float
        On the monotonic clock.
    seen : callable
        Told each peer once.
    wait : callable
        Waits some seconds; raises when the run is to end.

    Raises
    ------
    Refused
        PARTY_MISSING at the deadline, RECORDER_UNREACHABLE, REQUEST_REPLAYED when another
        process has introduced this DT for the same request.
    """
    own = sign_introduction(side.signer, side.delegation, introduction)
    content = canonical_bytes(own)
    told: set[Hex32] = set()
    posted = False
    problem: DataTokenError | None = None
    while True:
        try:
            client = side.recorders.client(plan.job)
            if not posted:
                client.introduce(plan.job, content)
                posted = True
            found = _parsed(client.introductions(plan.job, plan.request))
            valid = known(plan, found, side.network, int(time.time()))
            problem = None
            if valid.get(plan_me := introduction.dt, own) != own:
                raise Refused(
                    Reason.REQUEST_REPLAYED,
                    f"Another process has introduced DT {plan_me[:10]}… for this request.",
                )
            for dt in valid.keys() - told - {introduction.dt}:
                told.add(dt)
                seen(dt)
            if not missing(plan, valid):
                return valid
        except Refused as refused:
            if refused.reason is not Reason.RECORDER_UNREACHABLE:
                raise
            problem = refused
        except ServiceError as error:
            problem = error
            if error.code == ServiceCode.INTRODUCED_ALREADY:
                raise Refused(Reason.REQUEST_REPLAYED, error.message) from None
        if time.monotonic() >= deadline:
            raise _late(plan, told, introduction.dt, problem)
        wait(POLL)


def _parsed(contents: list[bytes]) -> list[SignedIntroduction]:
    """Parse what the recorder hands on; what is none is as good as missing."""
    found = []
    for content in contents:
        try:
            found.append(parse_introduction(content))
        except BadInputError as error:
            log.warning("introduction left out", why=error.message)
    return found


def _late(plan: Plan, told: set[Hex32], me: Hex32, problem: DataTokenError | None) -> Refused:
    if problem is not None:
        return Refused(Reason.RECORDER_UNREACHABLE, problem.message)
    absent = [dt for dt in plan.dts if dt not in told and dt != me]
    names = ", ".join(f"{dt[:10]}…" for dt in absent[:4])
    return Refused(Reason.PARTY_MISSING, f"{names} has not come within the deadline.")
