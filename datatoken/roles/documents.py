"""Reads DDOs and operation documents, each verified against its record.

Records and documents never change, so what was verified once is kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.tree import MAX_CLOSURE, MAX_DEPTH, VerifiedTree, verify_ddo
from datatoken.authorization.view import Network, OperationRecord, Record
from datatoken.chain.contracts import Contracts
from datatoken.ddo.models import MAX_DDO_BYTES, SELF, Ddo, Metadata
from datatoken.ddo.operation import MAX_OPERATION_BYTES, OperationDocument, parse_operation
from datatoken.errors import BadInputError
from datatoken.store import VerifyingStore
from datatoken.types import Hex32, OperationKind


@dataclass(frozen=True, slots=True)
class Operation:
    """A registered operation: its record and its document."""

    id: Hex32
    record: OperationRecord
    document: OperationDocument


class Documents:
    """Verified documents of one deployment.

    Parameters
    ----------
    contracts : Contracts
        Where records are.
    store : VerifyingStore
        Where the bytes are.
    network : Network
        Chain id and registry that every DT is computed with.
    """

    def __init__(self, contracts: Contracts, store: VerifyingStore, network: Network) -> None:
        self._contracts, self._store, self._network = contracts, store, network
        self._records: dict[Hex32, Record] = {}
        self._ddos: dict[Hex32, Ddo] = {}
        self._operations: dict[Hex32, OperationDocument] = {}

    def find(self, dts: Iterable[Hex32]) -> dict[Hex32, Record]:
        """Return the records of those DTs that exist (one call for all that are new)."""
        wanted = list(dict.fromkeys(dts))
        new = [dt for dt in wanted if dt not in self._records]
        if new:
            found = zip(new, self._contracts.tokens.tokens(new), strict=True)
            self._records |= {dt: record for dt, record in found if record.exists}
        return {dt: self._records[dt] for dt in wanted if dt in self._records}

    def record(self, dt: Hex32) -> Record:
        """Return the record of a DT.

        Raises
        ------
        BadInputError
            When it was never minted.
        """
        record = self.find([dt]).get(dt)
        if record is None:
            raise BadInputError(
                f"There is no DT {dt} on this chain.",
                "Check the id, and that the deployment file is the right one.",
            )
        return record

    def ddo(self, dt: Hex32) -> Ddo:
        """Return the verified DDO of a DT.

        Raises
        ------
        BadInputError
            When the DT was never minted.
        StoreError
            When the store has not got the bytes, or has got other ones.
        Refused
            DOCUMENT_MISMATCH when the bytes are no DDO of this record.
        """
        if dt not in self._ddos:
            record = self.record(dt)
            content = self._store.get(record.ddo, MAX_DDO_BYTES)
            self._ddos[dt] = verify_ddo(dt, content, record, self._network)
        return self._ddos[dt]

    def operation(self, operation: Hex32) -> Operation:
        """Return a registered operation with its verified document, retired or not.

        Raises
        ------
        BadInputError
            When it was never registered.
        StoreError
            When the store has not got its document.
        Refused
            DOCUMENT_MISMATCH when the document belongs to another bundle.
        """
        record = self._contracts.operations.operation(operation)
        if not record.exists:
            raise BadInputError(
                f"Operation {operation} is not registered.",
                "The administrator registers operations: datatoken op register.",
            )
        if operation not in self._operations:
            content = self._store.get(record.metadata, MAX_OPERATION_BYTES)
            document = parse_operation(content)
            if document.bundle != record.bundle:
                raise Refused(
                    Reason.DOCUMENT_MISMATCH,
                    f"The document of operation {operation[:10]}… names another bundle.",
                )
            self._operations[operation] = document
        return Operation(operation, record, self._operations[operation])

    def mpc(self, operations: Iterable[Hex32]) -> frozenset[Hex32]:
        """Return those operations that are registered as MPC operations, retired or not."""
        records = {id: self._contracts.operations.operation(id) for id in dict.fromkeys(operations)}
        kind = OperationKind.MPC
        return frozenset(id for id, found in records.items() if found.exists and found.kind == kind)

    def usable(self, operations: Iterable[Hex32]) -> dict[Hex32, OperationDocument]:
        """Return the documents of those operations that are registered and not retired."""
        found: dict[Hex32, OperationDocument] = {}
        for operation in dict.fromkeys(operations):
            record = self._contracts.operations.operation(operation)
            if record.exists and not record.retired:
                found[operation] = self.operation(operation).document
        return found

    def bundle(self, document: OperationDocument) -> bytes:
        """Return the exact bytes of an operation's code."""
        return self._store.get(document.bundle, document.size)

    def below(self, dt: Hex32) -> list[Hex32]:
        """Return all DTs below `dt` in the order that posting asks for.

        A node's children in order, then each composite child's block.

        Raises
        ------
        BadInputError
            When the tree is deeper or wider than a job may be.
        """
        flat: list[Hex32] = []
        self._add_block(dt, 0, flat)
        return flat

    def _add_block(self, dt: Hex32, depth: int, flat: list[Hex32]) -> None:
        if depth > MAX_DEPTH:
            raise BadInputError(
                f"The tree is deeper than {MAX_DEPTH} levels at {dt[:10]}….", "Nest fewer levels."
            )
        children = self.ddo(dt).children
        records = self.find(children)
        flat += children
        if len(flat) > MAX_CLOSURE:
            raise BadInputError(
                f"There are more than {MAX_CLOSURE} DTs in the tree; no job holds more.",
                "Use fewer members.",
            )
        for child in children:
            if child in records and records[child].children:
                self._add_block(child, depth + 1, flat)

    def tree(self, algorithm: Hex32, leaves: Sequence[Hex32] = ()) -> VerifiedTree:
        """Return the verified tree of an algorithm: its composites and the named leaves."""
        ddos: dict[Hex32, Ddo] = {}
        todo = [algorithm]
        while todo:
            dt = todo.pop()
            if dt in ddos:
                continue
            ddos[dt] = self.ddo(dt)
            records = self.find(ddos[dt].children)
            todo += [
                child
                for child in ddos[dt].children
                if child in leaves or (child in records and records[child].children)
            ]
        return VerifiedTree(algorithm, ddos)


def operations_named(metadata: Metadata) -> list[Hex32]:
    """Return the ids of all operations that a document names, each once."""
    service = metadata.service
    refs = [ref for flow in service.workflows for stage in flow.set_ops for ref in stage.values()]
    named = [*service.supported_ops, *(ref for ref in refs if ref != SELF)]
    return list(dict.fromkeys(named))
