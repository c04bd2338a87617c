"""Lineage: what an asset is made of, and what it went into."""

from dataclasses import dataclass

from datatoken.chain.events import JobPosted
from datatoken.roles.site import Site
from datatoken.trace.usage import (
    Edge,
    Party,
    edge,
    granted_parents,
    name_of,
    party,
    try_ddo,
)
from datatoken.types import AssetKind, Hex32

MAX_LEVELS = 9
"""The algorithm and the eight levels below it."""


@dataclass(frozen=True)
class Node:
    """A DT in a lineage, with the grant that ties it to the one before.

    Attributes
    ----------
    below, above : tuple of Node
        Children (downwards), or the parents that it was granted to (upwards).
    jobs : tuple of Hex32
        Jobs posted of it, where it is an algorithm.
    """

    dt: Hex32
    name: str
    kind: AssetKind
    owner: Party
    grant: Edge | None
    below: "tuple[Node, ...]" = ()
    above: "tuple[Node, ...]" = ()
    jobs: tuple[Hex32, ...] = ()


def downwards(site: Site, dt: Hex32) -> Node:
    """Return everything that an asset is composed of.

    Raises
    ------
    BadInputError
        When there is no such DT.
    """
    return _down(site, dt, None, site.now(), MAX_LEVELS)


def upwards(site: Site, dt: Hex32) -> Node:
    """Return everything that an asset was granted to, up to the jobs.

    Raises
    ------
    BadInputError
        When there is no such DT.
    """
    return _up(site, dt, None, site.now(), MAX_LEVELS)


def _down(site: Site, dt: Hex32, grant: Edge | None, now: int, levels: int) -> Node:
    ddo = try_ddo(site, dt)
    children = ddo.children if ddo and levels else []
    present = site.documents.find(children)
    below = tuple(
        _down(site, child, edge(site, dt, child, now), now, levels - 1)
        for child in children
        if child in present
    )
    return _node(site, dt, grant, below=below)


def _up(site: Site, dt: Hex32, grant: Edge | None, now: int, levels: int) -> Node:
    parents = granted_parents(site, dt) if levels else []
    above = tuple(
        _up(site, parent, edge(site, parent, dt, now), now, levels - 1) for parent in parents
    )
    return _node(site, dt, grant, above=above)


def _node(
    site: Site,
    dt: Hex32,
    grant: Edge | None,
    *,
    below: tuple[Node, ...] = (),
    above: tuple[Node, ...] = (),
) -> Node:
    record = site.documents.record(dt)
    kind = AssetKind(record.kind)
    jobs: tuple[Hex32, ...] = ()
    if kind is AssetKind.ALGORITHM:
        posted = site.events.history(JobPosted, algorithm=dt)
        jobs = tuple(event.job for event in posted if isinstance(event, JobPosted))
    return Node(dt, name_of(site, dt), kind, party(site, record.owner), grant, below, above, jobs)
