"""One simulated owner, and what of it a decision depends on beside its name.

The decision core is a pure function that knows no DT by name. Two owners with equal terms,
grants, positions and memories get the same answer, but for the name in it: so what the core has
allowed to one of them in a round is allowed to all. What it refuses, it refuses to each by name.
"""

from collections.abc import Hashable
from dataclasses import dataclass, field, replace

from datatoken.authorization.decision import Lease
from datatoken.authorization.rounds import messages_so_far
from datatoken.authorization.tree import Assignment, VerifiedTree
from datatoken.authorization.view import ChainState, EdgeKey, History
from datatoken.ddo.canonical import canonical_bytes
from datatoken.types import Hex32, MessageKind
from fl_edge.simulation.facts import Facts


@dataclass(frozen=True)
class Seat:
    """What is fixed of an owner: the DT it stands for, and its place in the job.

    Attributes
    ----------
    tree : VerifiedTree
        As the owner's own gate verifies it.
    kind : Hashable
        Document and positions, the DT's own name left out.
    """

    leaf: Hex32
    tree: VerifiedTree
    bundle: Hex32
    parents: tuple[Hex32, ...]
    kind: Hashable

    @classmethod
    def of(cls, facts: Facts, leaf: Hex32) -> "Seat":
        """Return the seat of a leaf."""
        tree = facts.tree_of(leaf)
        assignments = tree.assignments(leaf)
        service = tree.ddos[leaf].service
        document = canonical_bytes(
            [
                list(service.supported_ops),
                [flow.model_dump(mode="json") for flow in service.workflows],
                service.extra_params.terms.model_dump(mode="json"),
            ]
        )
        kind = (document, tuple(map(_place, assignments)), facts.request.request.audience == leaf)
        parents = tuple(dict.fromkeys(path[1] for path in tree.paths(leaf) if len(path) > 1))
        return cls(leaf, tree, facts.bundle_of(assignments), parents, kind)


@dataclass
class Owner:
    """One simulated owner: its seat, and what its own gate remembers."""

    seat: Seat
    counts: dict[EdgeKey, int] = field(default_factory=dict)
    pinned: str | None = None

    def count(self, lease: Lease) -> None:
        """Count a message, as a gate does before it lets one in."""
        for edge in lease.edges:
            self.counts[edge] = self.counts.get(edge, 0) + 1
        self.pinned = lease.run

    @property
    def history(self) -> History:
        """The memory, as a decision looks at it."""
        return History(counts=self.counts, pinned_run=self.pinned)

    def likeness(self, state: ChainState, kind: MessageKind) -> Hashable:
        """Return what this owner's answer depends on in a round, its name left out."""
        leaf, record = self.seat.leaf, state.records.get(self.seat.leaf)
        return (
            self.seat.kind,
            kind,
            None if record is None else (record.exists, record.owner_active),
            tuple(state.grants.get((parent, leaf)) for parent in self.seat.parents),
            self.pinned,
            frozenset(
                (parent, "" if child == leaf else child, epoch, of, count)
                for (parent, child, epoch, of), count in self.counts.items()
            ),
        )

    def like(self, lease: Lease, other: Hex32) -> Lease:
        """Return the lease of an owner that is just like this one, in this one's name."""
        leaf = self.seat.leaf
        edges = tuple(
            (parent, leaf if child == other else child, epoch, kind)
            for parent, child, epoch, kind in lease.edges
        )
        return replace(
            lease,
            asset=leaf,
            path=(leaf, *lease.path[1:]),
            edges=edges,
            sequence=1 + messages_so_far(self.history, edges),
        )


def _place(assignment: Assignment) -> Hashable:
    return replace(assignment, path=("", *assignment.path[1:]))
