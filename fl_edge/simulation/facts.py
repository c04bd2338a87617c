"""What is fixed for a whole simulation: the job's verified documents, its app, its request."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import MAX_REQUEST_BYTES, SignedRequest, parse_request
from datatoken.authorization.tree import Assignment, VerifiedTree
from datatoken.authorization.view import Network
from datatoken.ddo.models import Ddo
from datatoken.ddo.operation import OperationDocument
from datatoken.roles.site import Site
from datatoken.types import ZERO32, Hex32, Scalar
from fl_edge.control.plan import Plan
from fl_edge.fab.installed import installed_versions
from fl_edge.simulation.known import KnownOperation, KnownRequest


@dataclass(frozen=True)
class Facts:
    """Everything that the simulated gates know beforehand; only the chain's state changes.

    Attributes
    ----------
    leaves : tuple of Hex32
        The data DTs below the server, in the order of the documents.
    tree : VerifiedTree
        The algorithm and its composites; `members` are the leaves' own documents.
    operations : mapping
        Documents of those operations that may be used, of all that the workflows name (`named`).
    installed : mapping
        Versions here of what the operations are locked to.
    """

    plan: Plan
    network: Network
    leaves: tuple[Hex32, ...]
    tree: VerifiedTree
    members: Mapping[Hex32, Ddo]
    operations: Mapping[Hex32, OperationDocument]
    named: tuple[Hex32, ...]
    request: SignedRequest
    installed: Mapping[str, str]

    @property
    def job(self) -> Hex32:
        """The job."""
        return self.plan.job

    @cached_property
    def artefact(self) -> Hex32:
        """The sha256 of the FAB."""
        return self.plan.artefact

    @property
    def parameters(self) -> Mapping[str, Scalar]:
        """The effective run configuration."""
        return self.plan.parameters

    def tree_of(self, leaf: Hex32) -> VerifiedTree:
        """Return the tree as the gate of one leaf verifies it: without its siblings' documents."""
        return VerifiedTree(self.tree.algorithm, {**self.tree.ddos, leaf: self.members[leaf]})

    @cached_property
    def driven(self) -> frozenset[Hex32]:
        """Usable operations of Flower that the plan's server side drives, and none of MPC."""
        return frozenset(
            operation
            for server in self.tree.assignments(self.plan.server)
            for operation in self.tree.partners(server)
            if operation in self.operations and self.operations[operation].kind in ("client", "app")
        )

    def bundle_of(self, assignments: Iterable[Assignment]) -> Hex32:
        """Return the bundle that a leaf runs; `ZERO32` where the workflows give it none."""
        for assignment in assignments:
            if assignment.operation in self.driven:
                return self.operations[assignment.operation].bundle
        return ZERO32


def read_facts(site: Site, plan: Plan, named: Hex32 | None = None) -> Facts:
    """Read and verify, in bulk, all that a simulation of `plan` needs.

    Parameters
    ----------
    named : Hex32, optional
        Digest of the compute request, where no composite's owner announces it.

    Raises
    ------
    Refused
        NOT_ANNOUNCED or REQUEST_MISSING: there is no compute request; or why a document can't
        be read.
    """
    with as_refusals():
        request = _request(site, plan, named)
        tree = site.documents.tree(plan.algorithm)
        leaves = tuple(_leaves(tree, plan.server))
        site.documents.find(leaves)  # one bulk read; the next line finds them read
        members = {leaf: site.documents.ddo(leaf) for leaf in leaves}
        whole = VerifiedTree(tree.algorithm, {**tree.ddos, **members})
        operations = site.documents.usable(whole.operations())
    return Facts(
        plan=plan,
        network=site.network,
        leaves=leaves,
        tree=tree,
        members=members,
        operations={op: KnownOperation.of(found) for op, found in operations.items()},
        named=tuple(whole.operations()),
        request=KnownRequest.of(request),
        installed=installed_versions(operations.values()),
    )


def _request(site: Site, plan: Plan, named: Hex32 | None) -> SignedRequest:
    digest = site.reader.announcement(plan.job, plan.server) if plan.composite else named
    if digest is None:
        raise Refused(
            Reason.REQUEST_MISSING, "No composite announces this job: name the --request."
        )
    if digest == ZERO32:
        raise Refused(
            Reason.NOT_ANNOUNCED,
            f"The owner of {plan.server[:10]}… has announced no compute request for this job.",
        )
    return parse_request(site.store.get(digest, MAX_REQUEST_BYTES))


def _leaves(tree: VerifiedTree, top: Hex32) -> dict[Hex32, None]:
    """Return the leaves below `top`, each once, in order."""
    found: dict[Hex32, None] = {}
    todo = [top]
    while todo:
        for child in tree.ddos[todo.pop()].children:
            if child in tree.ddos and tree.ddos[child].children:
                todo.append(child)
            else:
                found[child] = None
    return found
