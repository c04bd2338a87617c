"""The usage index: every job that an asset has authorised, with how and by whom.

Posting needs every grant below an algorithm, so that the jobs of an asset are the jobs of
all algorithms above it by grants that were ever given to a parent that names it. Revoked
grants stay in the history: what was used was used.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from datatoken.authorization.reasons import Refused
from datatoken.authorization.tree import Assignment, VerifiedTree
from datatoken.authorization.view import Grant
from datatoken.chain.events import Granted, JobAnnounced, JobPosted, RoundLogged
from datatoken.ddo.models import Ddo
from datatoken.errors import BadInputError, StoreError
from datatoken.roles.site import Site
from datatoken.types import ZERO32, Address, AssetKind, Hex32, JobStatus, Scalar


class GrantState(StrEnum):
    """What a grant is now."""

    ACTIVE = "active"
    REVOKED = "revoked"
    EXPIRED = "expired"
    MISSING = "missing"


@dataclass(frozen=True)
class Party:
    """An account, and the registered name behind it where there is one."""

    account: Address
    name: str


@dataclass(frozen=True)
class Edge:
    """One grant of a path, as it stands now."""

    child: Hex32
    parent: Hex32
    state: GrantState
    expiry: int
    max_rounds: int
    epoch: int


@dataclass(frozen=True)
class Use:
    """One operation that a job lets run at the asset.

    Attributes
    ----------
    path : tuple of Hex32
        From the asset up to the algorithm; `names` are what the DDOs call them.
    operation, operation_name : Hex32, str
    server_operation : Hex32 or None
        The other half, at the nearest composite's owner.
    parameters : dict
        What the workflows on the path fix for these operations.
    """

    path: tuple[Hex32, ...]
    names: tuple[str, ...]
    operation: Hex32
    operation_name: str
    server_operation: Hex32 | None
    server_operation_name: str
    parameters: dict[str, Scalar]


@dataclass(frozen=True)
class Announcement:
    """A compute request that a composite's owner announced below it."""

    composite: Hex32
    request: Hex32
    block_number: int
    time: int | None
    current: bool


@dataclass(frozen=True)
class Round:
    """A round that the job's recorder logged."""

    number: int
    document: Hex32
    head: str
    tx_hash: Hex32
    block_number: int
    time: int | None


@dataclass(frozen=True)
class Usage:
    """One job that the asset has authorised.

    Attributes
    ----------
    uses : tuple of Use
        How; empty when the documents on the way cannot be read (`unread` says why).
    edges : tuple of Edge
        The grants on all paths.
    rounds : tuple of Round
        What the job's recorder has logged.
    """

    asset: Hex32
    job: Hex32
    task: int
    status: JobStatus
    posted_at: int
    algorithm: Hex32
    algorithm_name: str
    algorithm_owner: Party
    guarantor: Party
    recorder: Party
    purpose: str | None
    uses: tuple[Use, ...]
    edges: tuple[Edge, ...]
    announcements: tuple[Announcement, ...]
    rounds: tuple[Round, ...]
    unread: str = ""

    @property
    def standing(self) -> bool:
        """Tell whether the job could run at the asset now, as far as job and grants go."""
        active = all(edge.state is GrantState.ACTIVE for edge in self.edges)
        return self.status is JobStatus.OPEN and active


def usage(site: Site, dt: Hex32) -> tuple[Usage, ...]:
    """Return every job whose algorithm DT is `dt` or is above it by grants, oldest first.

    Raises
    ------
    BadInputError
        When there is no such DT.
    ChainUnreachableError
        When the chain does not answer. A document that cannot be read never hides a job.
    """
    site.documents.record(dt)
    posted: dict[Hex32, JobPosted] = {}
    for algorithm in authorised_algorithms(site, dt):
        for event in site.events.history(JobPosted, algorithm=algorithm):
            if isinstance(event, JobPosted):
                posted[event.job] = event
    ordered = sorted(posted.values(), key=lambda event: (event.block_number, event.log_index))
    return tuple(_usage(site, dt, event) for event in ordered)


def authorised_algorithms(site: Site, dt: Hex32) -> list[Hex32]:
    """Return the algorithm DTs that `dt` is, or has authorised level by level."""
    found: dict[Hex32, None] = {}
    seen = {dt}
    todo = [dt]
    while todo:
        node = todo.pop(0)
        if site.documents.record(node).kind == AssetKind.ALGORITHM:
            found[node] = None
        for parent in granted_parents(site, node):
            if parent not in seen:
                seen.add(parent)
                todo.append(parent)
    return list(found)


def granted_parents(site: Site, dt: Hex32) -> list[Hex32]:
    """Return the parents that `dt` was ever granted to and that name it as a child.

    A parent whose document cannot be read is kept: the chain says that it was granted.
    """
    parents = [
        event.parent
        for event in site.events.history(Granted, child=dt)
        if isinstance(event, Granted)
    ]
    found = []
    for parent in dict.fromkeys(parents):
        ddo = try_ddo(site, parent)
        if ddo is None or dt in ddo.children:
            found.append(parent)
    return found


def try_ddo(site: Site, dt: Hex32) -> Ddo | None:
    """Return a verified DDO, or None where its bytes cannot be had."""
    try:
        return site.documents.ddo(dt)
    except (BadInputError, StoreError, Refused):
        return None


def name_of(site: Site, dt: Hex32) -> str:
    """Return what an asset is called in its DDO, or an empty text."""
    ddo = try_ddo(site, dt)
    return (ddo.service.extra_params.name or "") if ddo else ""


def grant_state(grant: Grant, now: int) -> GrantState:
    """Return what a grant slot means at `now` (Unix time in seconds)."""
    if not grant.active:
        return GrantState.REVOKED if grant.epoch else GrantState.MISSING
    return GrantState.EXPIRED if grant.expiry and grant.expiry <= now else GrantState.ACTIVE


def edges(site: Site, pairs: Iterable[tuple[Hex32, Hex32]], now: int) -> tuple[Edge, ...]:
    """Return the grants of pairs (parent, child) as they stand (one call)."""
    asked = list(pairs)
    if not asked:
        return ()
    grants = site.contracts.tokens.grants_of(asked)
    return tuple(
        Edge(child, parent, grant_state(g, now), g.expiry, g.max_rounds, g.epoch)
        for (parent, child), g in zip(asked, grants, strict=True)
    )


def party(site: Site, account: Address) -> Party:
    """Return an account with its registered name."""
    return Party(account, site.name_of(account))


def rounds_of(site: Site, job: Hex32, recorder: Address) -> tuple[Round, ...]:
    """Return the rounds that a job's recorder has logged."""
    return tuple(
        Round(e.round, e.document, e.head, e.tx_hash, e.block_number, e.time)
        for e in site.events.history(RoundLogged, job=job, sender=recorder)
        if isinstance(e, RoundLogged)
    )


def announcements_of(site: Site, job: Hex32) -> tuple[Announcement, ...]:
    """Return all announcements of a job, the current one of each composite marked."""
    events = [e for e in site.events.history(JobAnnounced, job=job) if isinstance(e, JobAnnounced)]
    last = {event.composite: event for event in events}
    return tuple(
        Announcement(e.composite, e.request, e.block_number, e.time, last[e.composite] is e)
        for e in events
        if e.request != ZERO32
    )


def _usage(site: Site, dt: Hex32, event: JobPosted) -> Usage:
    job = site.reader.job(event.job)
    uses, paths, purpose, unread = _how(site, dt, event.algorithm)
    now = site.now()
    pairs = dict.fromkeys((up, low) for path in paths for low, up in pairwise(path))
    on_path = {node for path in paths for node in path}
    return Usage(
        asset=dt,
        job=event.job,
        task=event.task,
        status=job.status,
        posted_at=job.posted_at,
        algorithm=event.algorithm,
        algorithm_name=name_of(site, event.algorithm),
        algorithm_owner=party(site, site.documents.record(event.algorithm).owner),
        guarantor=party(site, event.guarantor),
        recorder=party(site, event.recorder),
        purpose=purpose,
        uses=uses,
        edges=edges(site, pairs, now),
        announcements=tuple(
            a for a in announcements_of(site, event.job) if unread or a.composite in on_path
        ),
        rounds=rounds_of(site, event.job, event.recorder),
        unread=unread,
    )


def _how(
    site: Site, dt: Hex32, algorithm: Hex32
) -> tuple[tuple[Use, ...], list[tuple[Hex32, ...]], str | None, str]:
    try:
        tree = site.documents.tree(algorithm, [dt])
    except (BadInputError, StoreError, Refused) as error:
        return (), [], None, error.message
    uses = tuple(_use(site, tree, assignment) for assignment in tree.assignments(dt))
    purpose = tree.ddos[algorithm].service.extra_params.purpose
    return uses, tree.paths(dt), purpose, ""


def _use(site: Site, tree: VerifiedTree, assignment: Assignment) -> Use:
    both = (assignment.operation, assignment.server_operation)
    return Use(
        path=assignment.path,
        names=tuple(name_of(site, dt) for dt in assignment.path),
        operation=assignment.operation,
        operation_name=operation_name(site, assignment.operation),
        server_operation=assignment.server_operation,
        server_operation_name=operation_name(site, assignment.server_operation),
        parameters={name: value for op, name, value in assignment.fixed if op in both},
    )


def operation_name(site: Site, operation: Hex32 | None) -> str:
    """Return the name of a registered operation, or an empty text."""
    if operation is None:
        return ""
    try:
        return site.documents.operation(operation).document.name
    except (BadInputError, StoreError, Refused):
        return ""
