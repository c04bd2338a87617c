"""A participant's notices: the jobs on the chain that concern its DTs.

Posting needs a grant on every edge, so whatever job a DT takes part in, an unbroken chain
of grants leads from it to the job's algorithm. Notices follow these chains upwards; whether
the documents really name the DT is checked by the verified tree, where the store has it.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from datatoken.authorization.reasons import Refused
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import Job
from datatoken.chain.event_types import Granted, JobAnnounced, JobPosted
from datatoken.chain.events import EventReader
from datatoken.errors import BadInputError, StoreError
from datatoken.types import ZERO32, Address, Hex32, JobStatus

_MAX_ANCESTORS = 4096


class NoticeKind(StrEnum):
    """What happened."""

    POSTED = "posted"
    """A guarantor posted an algorithm that an own DT takes part in."""
    ANNOUNCED = "announced"
    """The owner of a composite above an own DT announced a compute request."""
    WITHDRAWN = "withdrawn"
    """It took the announcement back."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One event that concerns own DTs.

    Attributes
    ----------
    own : tuple of Hex32
        The own DTs that it concerns.
    composite, request : Hex32, optional
        Of an announcement: whose owner announced, and the compute request's digest.
    status : JobStatus
        The job's status now.
    verified : bool
        Whether the job's documents were read and name the own DTs.
    time : int, optional
        Of the block, in seconds, where the node says it.
    """

    kind: NoticeKind
    job: Hex32
    algorithm: Hex32
    guarantor: Address
    recorder: Address
    status: JobStatus
    own: tuple[Hex32, ...]
    composite: Hex32 | None
    request: Hex32 | None
    verified: bool
    block_number: int
    time: int | None


class TreeReader(Protocol):
    """Reads verified documents (`datatoken.roles.documents.Documents`)."""

    def tree(self, algorithm: Hex32) -> VerifiedTree:
        """Return the verified tree of an algorithm."""
        ...


class JobReader(Protocol):
    """Reads a job (`datatoken.chain.reader.ChainReader`)."""

    def job(self, job: Hex32) -> Job:
        """Return the job."""
        ...


def read_notices(
    events: EventReader,
    documents: TreeReader,
    chain: JobReader,
    own: Collection[Hex32],
    *,
    start: int | None = None,
) -> tuple[Notice, ...]:
    """Return what concerns `own`, oldest first.

    Parameters
    ----------
    own : collection of Hex32
        The participant's DTs.
    start : int, optional
        First block of interest; by default that of the deployment.

    Raises
    ------
    ChainUnreachableError
    """
    above = {dt: ancestors(events, dt) for dt in own}
    found = events.history(JobPosted, JobAnnounced, start=start)
    jobs: dict[Hex32, Job] = {}
    notices = []
    for event in found:
        if not isinstance(event, (JobPosted, JobAnnounced)):
            continue
        at = event.algorithm if isinstance(event, JobPosted) else event.composite
        concerned = [dt for dt in own if at in above[dt]]
        if not concerned:
            continue
        if event.job not in jobs:
            jobs[event.job] = chain.job(event.job)
        notices += list(_notice(event, jobs[event.job], at, concerned, documents))
    return tuple(notices)


def ancestors(events: EventReader, dt: Hex32) -> frozenset[Hex32]:
    """Return `dt` and everything that it was granted to, directly or through others."""
    found = {dt}
    todo = [dt]
    while todo and len(found) <= _MAX_ANCESTORS:
        for granted in events.history(Granted, child=todo.pop()):
            if isinstance(granted, Granted) and granted.parent not in found:
                found.add(granted.parent)
                todo.append(granted.parent)
    return frozenset(found)


def _notice(
    event: JobPosted | JobAnnounced,
    job: Job,
    at: Hex32,
    concerned: list[Hex32],
    documents: TreeReader,
) -> Iterator[Notice]:
    """Yield the notice, unless the verified documents say that no own DT is concerned."""
    try:
        tree = documents.tree(job.algorithm)
        concerned = [dt for dt in concerned if any(at in path for path in tree.paths(dt))]
        verified = True
    except (StoreError, BadInputError, Refused):
        verified = False
    if not concerned:
        return
    kind, composite, request = NoticeKind.POSTED, None, None
    if isinstance(event, JobAnnounced):
        withdrawn = event.request == ZERO32
        kind = NoticeKind.WITHDRAWN if withdrawn else NoticeKind.ANNOUNCED
        composite, request = event.composite, None if withdrawn else event.request
    yield Notice(
        kind=kind,
        job=event.job,
        algorithm=job.algorithm,
        guarantor=job.guarantor,
        recorder=job.recorder,
        status=job.status,
        own=tuple(concerned),
        composite=composite,
        request=request,
        verified=verified,
        block_number=event.block_number,
        time=event.time,
    )
