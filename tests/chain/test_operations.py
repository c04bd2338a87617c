"""The registry of trusted operations, on a real chain and a real store."""

import pytest

from datatoken.chain import errors
from datatoken.chain.events import OperationRegistered, OperationRetired
from datatoken.store import VerifyingStore
from datatoken.types import OperationKind
from tests.support.chain import Chain, fresh


def test_digest_on_chain_and_bundle_in_the_store(chain: Chain, store: VerifyingStore) -> None:
    """Acceptance: 17, 67."""
    bundle = b"def main(): ..."
    intent = chain.contracts.operations.register(
        store.put(bundle), store.put(b"{}"), OperationKind.CLIENT, "EdgeComp", "app:main"
    )

    event = chain.admin.send(intent).event(OperationRegistered)

    record = chain.reader().operation(event.id)
    assert store.get(record.bundle) == bundle
    assert store.get(record.metadata) == b"{}"
    assert (event.name, event.entry_point, event.kind) == ("EdgeComp", "app:main", 1)
    assert record.publisher == chain.admin.address
    assert not record.retired
    assert chain.contracts.operations.operation(event.id) == record


def test_only_the_administrator_registers_operations(chain: Chain) -> None:
    """Acceptance: 17, 38."""
    intent = chain.contracts.operations.register(fresh(), fresh(), OperationKind.APP, "x", "y")

    for caller in (chain.a, chain.users[0]):
        with pytest.raises(errors.OwnableUnauthorizedAccount):
            caller.send(intent)


def test_an_operation_cannot_be_registered_twice_or_changed(chain: Chain) -> None:
    """Acceptance: 17."""
    bundle, metadata = fresh(), fresh()
    operation = chain.register(bundle=bundle, metadata=metadata)

    with pytest.raises(errors.OperationExists) as refused:
        chain.register(OperationKind.SERVER, bundle=bundle, metadata=metadata)

    assert refused.value.arguments == {"id": operation}


def test_a_retired_operation_stays_retired(chain: Chain) -> None:
    operation = chain.register()
    before = chain.contracts.operations.counter()

    receipt = chain.admin.send(chain.contracts.operations.retire(operation))

    assert receipt.event(OperationRetired).id == operation
    assert chain.reader().operation(operation).retired
    assert chain.contracts.operations.counter() == before + 1
    with pytest.raises(errors.OperationAlreadyRetired):
        chain.admin.send(chain.contracts.operations.retire(operation))


def test_an_unknown_operation_does_not_exist(chain: Chain) -> None:
    assert not chain.reader().operation(fresh()).exists
    with pytest.raises(errors.UnknownOperation):
        chain.admin.send(chain.contracts.operations.retire(fresh()))
