"""The verified tree of an algorithm: step 2 of the decision.

Records, DDOs and children are immutable, so a tree that was verified once stays verified;
only grants, statuses and counters change. The tree holds the DDOs of the algorithm, of every
composite below it and of the leaves that the caller cares for: siblings' DDOs are not needed
to decide.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network, Record
from datatoken.ddo.models import SELF, Ddo
from datatoken.ddo.proof import dt_of, parse_ddo, proof_of
from datatoken.errors import BadInputError
from datatoken.types import AssetKind, Hex32, Scalar, sha256_hex

MAX_DEPTH = 8
MAX_CLOSURE = 4096
MAX_ASSIGNMENTS = 256
"""Operations that the workflows may give to one position: strangers write the workflows."""

T = TypeVar("T")
FixedParameters = Mapping[Hex32, Mapping[str, Scalar]]


@dataclass(frozen=True, slots=True)
class Assignment:
    """One operation that the workflows give to a position.

    Attributes
    ----------
    path : tuple of Hex32
        From the asset up to the algorithm.
    operation : Hex32
        What runs at the asset.
    server_operation : Hex32 or None
        The `self` operation of the nearest composite at or above the asset, the other half
        of a Flower app; None where there is none.
    fixed : tuple of (Hex32, name, value)
        Parameters that the workflows on the path fix, by operation.
    through : tuple of Hex32
        Composites that were given the operation from above: it stands in place of what their
        own workflows give to the asset.
    """

    path: tuple[Hex32, ...]
    operation: Hex32
    server_operation: Hex32 | None
    fixed: tuple[tuple[Hex32, str, Scalar], ...]
    through: tuple[Hex32, ...] = ()


@dataclass(frozen=True, slots=True)
class _Walk:
    """What is known half-way down a path; the fields are those of `Assignment`."""

    given: Hex32 | None = None
    server: Hex32 | None = None
    fixed: tuple[tuple[Hex32, str, Scalar], ...] = ()
    through: tuple[Hex32, ...] = ()


@dataclass(frozen=True)
class VerifiedTree:
    """DDOs below one algorithm DT, each of which hashes to its on-chain record."""

    algorithm: Hex32
    ddos: Mapping[Hex32, Ddo]

    def edges(self) -> list[tuple[Hex32, Hex32]]:
        """Return every (parent, child) below the algorithm, each once, top down."""
        found: dict[tuple[Hex32, Hex32], None] = {}
        todo = [self.algorithm]
        while todo:
            parent = todo.pop()
            for child in self.ddos[parent].children:
                if (parent, child) not in found:
                    found[(parent, child)] = None
                    if child in self.ddos and self.ddos[child].children:
                        todo.append(child)
        return list(found)

    def operations(self) -> list[Hex32]:
        """Return the ids of all operations that the workflows in the tree name."""
        return list(
            dict.fromkeys(
                ref
                for ddo in self.ddos.values()
                for workflow in ddo.service.workflows
                for stage in workflow.set_ops
                for ref in stage.values()
                if ref != SELF
            )
        )

    def paths(self, asset: Hex32) -> list[tuple[Hex32, ...]]:
        """Return every path from `asset` up to the algorithm."""
        return [tuple(reversed(path)) for path in self._descend((self.algorithm,), asset)]

    def _descend(self, path: tuple[Hex32, ...], asset: Hex32) -> Iterator[tuple[Hex32, ...]]:
        if path[-1] == asset:
            yield path
        if len(path) > MAX_DEPTH or path[-1] not in self.ddos:
            return
        for child in self.ddos[path[-1]].children:
            if child == asset or (child in self.ddos and self.ddos[child].children):
                yield from self._descend((*path, child), asset)

    def announcers(self, path: tuple[Hex32, ...]) -> list[Hex32]:
        """Return the composites on a path whose owners announce the job, nearest first.

        The asset itself is one of them when it is a composite.
        """
        first = 0 if path[0] in self.ddos and self.ddos[path[0]].children else 1
        return [dt for dt in path[first:] if dt != self.algorithm]

    def assignments(self, asset: Hex32) -> list[Assignment]:
        """Return everything that the workflows let run at `asset`, over all its positions.

        Raises
        ------
        Refused
            DOCUMENT_MISMATCH when the workflows give more than `MAX_ASSIGNMENTS` to a position.
        """
        found: dict[Assignment, None] = {}
        for path in self.paths(asset):
            found |= dict.fromkeys(self._assign(tuple(reversed(path))))
        return list(found)

    def _assign(self, down: tuple[Hex32, ...]) -> list[Assignment]:
        """Walk down one path, level by level; equal ways are taken once."""
        walks = [_Walk()]
        for node, child in pairwise(down):
            if node not in self.ddos:
                return []
            below = (step for walk in walks for step in self._steps(node, child, walk))
            walks = _bounded(below, down[-1])
        path = tuple(reversed(down))
        ends = (end for walk in walks for end in self._ends(path, walk))
        return _bounded(ends, down[-1])

    def _steps(self, node: Hex32, child: Hex32, walk: _Walk) -> Iterator[_Walk]:
        """Yield the ways from a composite to a child of it."""
        ddo = self.ddos[node]
        index = str(ddo.children.index(child))
        through = walk.through if walk.given is None else (*walk.through, node)
        for workflow in ddo.service.workflows:
            fixed = walk.fixed + _fixed(workflow.configs.parameters)
            servers: list[Hex32 | None] = list(dict.fromkeys(workflow.operations(SELF))) or [
                walk.server
            ]
            for ref in dict.fromkeys(workflow.operations(index)):
                given = walk.given or (None if ref == SELF else ref)
                for server in servers:
                    yield _Walk(given, server, fixed, through)

    def _ends(self, path: tuple[Hex32, ...], walk: _Walk) -> Iterator[Assignment]:
        """Yield what runs at the end of a way: the operation given, else the asset's own."""
        if walk.given is not None:
            yield Assignment(path, walk.given, walk.server, walk.fixed, walk.through)
        elif path[0] in self.ddos:
            for workflow in self.ddos[path[0]].service.workflows:
                fixed = walk.fixed + _fixed(workflow.configs.parameters)
                for operation in dict.fromkeys(workflow.operations(SELF)):
                    yield Assignment(path, operation, operation, fixed)

    def partners(self, server: Assignment) -> list[Hex32]:
        """Return the operations that run below a composite, driven by its `self` operation.

        Server and clients share one run, and so one run configuration.
        """
        found: dict[Hex32, None] = {}
        todo = [tuple(reversed(server.path))]
        while todo:
            down = todo.pop()
            for child in self._distinct(down[-1]):
                if len(down) > MAX_DEPTH:
                    break
                for one in self._assign((*down, child)):
                    if one.server_operation == server.operation:
                        found[one.operation] = None
                if child in self.ddos and self.ddos[child].children:
                    todo.append((*down, child))
        return list(found)

    def _distinct(self, parent: Hex32) -> list[Hex32]:
        """Return the children of `parent`, one for all leaves that get the same operations."""
        ddo, seen, found = self.ddos[parent], set(), []
        for index, child in enumerate(ddo.children):
            key = tuple(tuple(flow.operations(str(index))) for flow in ddo.service.workflows)
            if child in self.ddos or key not in seen:
                found.append(child)
            seen.add(key)
        return found


def _bounded(found: Iterable[T], asset: Hex32) -> list[T]:
    """Return the distinct items; refuse when they are too many."""
    distinct: dict[T, None] = {}
    for item in found:
        distinct[item] = None
        if len(distinct) > MAX_ASSIGNMENTS:
            raise Refused(
                Reason.DOCUMENT_MISMATCH,
                f"The workflows give more than {MAX_ASSIGNMENTS} operations to {asset[:10]}….",
            )
    return list(distinct)


def _fixed(parameters: FixedParameters) -> tuple[tuple[Hex32, str, Scalar], ...]:
    return tuple(
        (operation, name, value)
        for operation, values in parameters.items()
        for name, value in values.items()
    )


def verify_ddo(dt: Hex32, content: bytes, record: Record, network: Network) -> Ddo:
    """Check that stored bytes are the ones that the record of `dt` names.

    Raises
    ------
    Refused
        DOCUMENT_MISMATCH with the first thing that differs.
    """

    def differs(what: str) -> Refused:
        return Refused(Reason.DOCUMENT_MISMATCH, f"DDO of {dt[:10]}…: {what}.")

    if not record.exists:
        raise Refused(Reason.DOCUMENT_MISSING, f"There is no DT {dt[:10]}… on the chain.")
    if sha256_hex(content) != record.ddo:
        raise differs("its bytes do not hash to the digest on the chain")
    try:
        ddo = parse_ddo(content)
    except BadInputError as error:
        raise differs(error.message.rstrip(".")) from None
    if ddo.dt != dt:
        raise differs("it names another DT")
    if not proof_of(ddo) == ddo.proof == record.proof:
        raise differs("its metadata do not hash to its proof")
    if ddo.kind != record.kind:
        raise differs("its type is not the kind on the chain")
    if len(ddo.children) != record.children:
        raise differs("its number of children is not the one on the chain")
    owner, salt = record.owner, record.salt
    if not 0 <= salt < 2**32:
        raise differs("its salt is none")
    if dt_of(network.chain_id, network.tokens, owner, ddo.proof, ddo.children, salt) != dt:
        raise differs("owner, proof and children do not hash to the DT")
    return ddo


def verify_tree(
    algorithm: Hex32,
    contents: Mapping[Hex32, bytes],
    records: Mapping[Hex32, Record],
    network: Network,
) -> VerifiedTree:
    """Verify the documents of an algorithm and of everything below it.

    Parameters
    ----------
    algorithm : Hex32
    contents : mapping of Hex32 to bytes
        Stored DDO bytes of the algorithm, of all composites below it, and of the leaves of
        interest.
    records : mapping of Hex32 to Record
        On-chain records of every DT in the tree, leaves included.

    Raises
    ------
    Refused
        DOCUMENT_MISSING, DOCUMENT_MISMATCH.
    """
    ddos: dict[Hex32, Ddo] = {}

    def visit(dt: Hex32, depth: int) -> None:
        if depth > MAX_DEPTH or len(ddos) > MAX_CLOSURE:
            raise Refused(Reason.DOCUMENT_MISMATCH, f"The tree of {algorithm[:10]}… is too deep.")
        record = records.get(dt)
        if record is None:
            raise Refused(Reason.DOCUMENT_MISSING, f"There is no record of DT {dt[:10]}….")
        if dt not in contents:
            if record.children:
                raise Refused(Reason.DOCUMENT_MISSING, f"There is no DDO of {dt[:10]}….")
            return
        if dt in ddos:
            return
        ddos[dt] = verify_ddo(dt, contents[dt], record, network)
        for child in ddos[dt].children:
            visit(child, depth + 1)

    if algorithm not in contents:
        raise Refused(Reason.DOCUMENT_MISSING, f"There is no DDO of {algorithm[:10]}….")
    visit(algorithm, 0)
    if ddos[algorithm].kind is not AssetKind.ALGORITHM:
        raise Refused(Reason.DOCUMENT_MISMATCH, f"{algorithm[:10]}… is not an algorithm.")
    return VerifiedTree(algorithm, ddos)
