"""Lineage: what an asset is made of, and what it went into."""

from dataclasses import dataclass

from datatoken.authorization.tree import MAX_CLOSURE
from datatoken.chain.events import JobPosted
from datatoken.roles.site import Site
from datatoken.trace.usage import (
    Edge,
    Party,
    edges,
    granted_parents,
    name_of,
    party,
    try_ddo,
)
from datatoken.types import Address, AssetKind, Hex32

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
    return _Walk(site).down(dt, None, MAX_LEVELS)


def upwards(site: Site, dt: Hex32) -> Node:
    """Return everything that an asset was granted to, up to the jobs.

    Raises
    ------
    BadInputError
        When there is no such DT.
    """
    return _Walk(site).up(dt, None, MAX_LEVELS)


class _Walk:
    """One reading of a lineage; a graph that somebody made to explode ends at the limit."""

    def __init__(self, site: Site) -> None:
        self._site, self._now, self._left = site, site.now(), MAX_CLOSURE
        self._parties: dict[Address, Party] = {}
        self._jobs: dict[Hex32, tuple[Hex32, ...]] = {}

    def down(self, dt: Hex32, grant: Edge | None, levels: int) -> Node:
        ddo = try_ddo(self._site, dt)
        present = self._site.documents.find(ddo.children if ddo and levels else [])
        pairs = [(dt, child) for child in self._take(list(present))]
        found = edges(self._site, pairs, self._now)
        below = tuple(self.down(edge.child, edge, levels - 1) for edge in found)
        return self._node(dt, grant, below=below)

    def up(self, dt: Hex32, grant: Edge | None, levels: int) -> Node:
        parents = self._take(granted_parents(self._site, dt) if levels else [])
        found = edges(self._site, [(parent, dt) for parent in parents], self._now)
        above = tuple(self.up(edge.parent, edge, levels - 1) for edge in found)
        return self._node(dt, grant, above=above)

    def _take(self, dts: list[Hex32]) -> list[Hex32]:
        taken = dts[: self._left]
        self._left -= len(taken)
        return taken

    def _node(
        self,
        dt: Hex32,
        grant: Edge | None,
        *,
        below: tuple[Node, ...] = (),
        above: tuple[Node, ...] = (),
    ) -> Node:
        record = self._site.documents.record(dt)
        if record.owner not in self._parties:
            self._parties[record.owner] = party(self._site, record.owner)
        owner, kind = self._parties[record.owner], AssetKind(record.kind)
        jobs = self._jobs_of(dt) if kind is AssetKind.ALGORITHM else ()
        return Node(dt, name_of(self._site, dt), kind, owner, grant, below, above, jobs)

    def _jobs_of(self, algorithm: Hex32) -> tuple[Hex32, ...]:
        if algorithm not in self._jobs:
            posted = self._site.events.history(JobPosted, algorithm=algorithm)
            found = tuple(event.job for event in posted if isinstance(event, JobPosted))
            self._jobs[algorithm] = found
        return self._jobs[algorithm]
