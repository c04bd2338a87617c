"""What waits for an owner: requests to grant, jobs posted and announced over its DTs."""

from dataclasses import dataclass
from enum import StrEnum

from datatoken.chain.events import TokenMinted
from datatoken.roles.site import Site
from datatoken.trace.usage import (
    GrantState,
    Party,
    edges,
    party,
    try_ddo,
    usage,
)
from datatoken.types import Address, Hex32, JobStatus


class NoticeKind(StrEnum):
    """What a notice is about."""

    GRANT_ASKED = "grant-asked"
    JOB_POSTED = "job-posted"
    JOB_ANNOUNCED = "job-announced"


@dataclass(frozen=True)
class Notice:
    """One thing that an owner should look at.

    Attributes
    ----------
    dt : Hex32
        The own DT that it is about.
    subject : Hex32
        The parent that asks, or the job.
    by : Party
        Who asks, posted or announced.
    detail : str
        Purpose of the parent, or digest of the announced request.
    state : str
        State of the grant, or status of the job.
    """

    kind: NoticeKind
    dt: Hex32
    subject: Hex32
    by: Party
    detail: str
    state: str
    time: int | None = None


def owned(site: Site, owner: Address) -> list[TokenMinted]:
    """Return the mints of all DTs of an account, oldest first."""
    found = site.events.history(TokenMinted, owner=owner)
    return [event for event in found if isinstance(event, TokenMinted)]


def inbox(site: Site, owner: Address, *, everything: bool = False) -> list[Notice]:
    """Return the notices of an owner.

    Parameters
    ----------
    everything : bool
        Also what needs no attention any more: grants that stand, jobs that are closed.
    """
    own = [event.dt for event in owned(site, owner)]
    notices = _asked(site, set(own), everything=everything)
    for dt in own:
        notices += _jobs(site, dt, everything=everything)
    return notices


def _asked(site: Site, own: set[Hex32], *, everything: bool) -> list[Notice]:
    """Find the composites that name an own DT, whoever minted them."""
    notices: list[Notice] = []
    now = site.now()
    for event in site.events.history(TokenMinted):
        if not isinstance(event, TokenMinted) or not event.children:
            continue
        ddo = try_ddo(site, event.dt)
        named = [child for child in ddo.children if child in own] if ddo else []
        for found in edges(site, [(event.dt, child) for child in named], now):
            child, state = found.child, found.state
            if state is GrantState.ACTIVE and not everything:
                continue
            purpose = ddo.service.extra_params.purpose if ddo else None
            asked = (child, event.dt, party(site, event.owner), purpose or "")
            notices.append(Notice(NoticeKind.GRANT_ASKED, *asked, state.value, event.time))
    return notices


def _jobs(site: Site, dt: Hex32, *, everything: bool) -> list[Notice]:
    notices: list[Notice] = []
    for found in usage(site, dt):
        if found.status is JobStatus.CLOSED and not everything:
            continue
        status = found.status.name.lower()
        detail = found.purpose or ""
        notices.append(
            Notice(
                NoticeKind.JOB_POSTED,
                dt,
                found.job,
                found.guarantor,
                detail,
                status,
                found.posted_at,
            )
        )
        for announced in found.announcements:
            if announced.current or everything:
                owner = party(site, site.documents.record(announced.composite).owner)
                about = (dt, found.job, owner, announced.request, status, announced.time)
                notices.append(Notice(NoticeKind.JOB_ANNOUNCED, *about))
    return notices
