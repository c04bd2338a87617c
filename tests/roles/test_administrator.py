"""The administrator registers institutions and operations, and nobody else does."""

from collections.abc import Callable

import pytest

from datatoken.chain import errors
from datatoken.errors import BadInputError, TransactionError
from datatoken.roles import Administrator, Institution, Site, complete_document, operation_id
from datatoken.store import cid_of, digest_of
from datatoken.types import sha256_hex
from tests.support.chain import Chain
from tests.support.world import World, bundle_of

FIELDS = {"name": "EdgeComp", "kind": "client", "entry_points": {"clientapp": "op:app"}}


def test_deploys_once_and_adds_institutions_by_name(
    new_chain: Callable[..., Chain], tmp_path: object
) -> None:
    """Acceptance: 1, 2, 67, 92, 95"""
    # Prepare
    chain = new_chain()
    journal = chain.folder / "journal.sqlite"
    # Execute: deploying again with the same journal is a repetition
    again = Administrator.deploy(chain.admin.signer, chain.rpc, chain.profile, journal)
    with Site.open(again, chain.folder / "store", chain.folder) as site:
        administrator = Administrator(site, chain.admin.signer)
        newcomer = chain.account()
        first = administrator.add_institution(newcomer.address, "Hospital C")
        second = administrator.add_institution(newcomer.address, "Hospital C")
        # Assert
        assert again == chain.deployment
        assert (first, second) == (True, False)
        assert site.reader.institution(newcomer.address) == ("Hospital C", True)
        # Execute: removing, twice
        assert administrator.remove_institution(newcomer.address)
        assert not administrator.remove_institution(newcomer.address)
        assert site.reader.institution(newcomer.address) == ("Hospital C", False)
        administrator.close()


def test_nobody_else_registers_institutions(world: World) -> None:
    """Acceptance: 37"""
    stranger = world.role(Administrator, world.chain.a)
    with pytest.raises(errors.OwnableUnauthorizedAccount):
        stranger.add_institution(world.chain.users[0].address, "Me too")
    assert not world.site("x").reader.institution(world.chain.users[0].address)[1]


def test_an_institution_keeps_its_name(world: World) -> None:
    with pytest.raises(errors.InstitutionExists):
        world.administrator.add_institution(world.chain.a.address, "Another name")


def test_operation_has_digest_on_chain_and_bundle_in_store(world: World) -> None:
    """Acceptance: 17, 67"""
    # Prepare
    administrator = world.administrator
    bundle = bundle_of({"op/__init__.py": "app = 1\n"})
    document = complete_document(bundle, administrator.address, FIELDS)
    # Execute, twice
    id_ = administrator.register_operation(bundle, document)
    again = administrator.register_operation(bundle, document)
    # Assert
    site = world.site("reader")
    found = site.documents.operation(id_)
    assert again == id_ == operation_id(site.network, document)
    assert found.record.bundle == sha256_hex(bundle)
    assert found.record.metadata == document.digest()
    assert found.document == document
    assert digest_of(document.cid) == found.record.bundle
    assert site.documents.bundle(document) == bundle


def test_nobody_else_registers_operations_and_nothing_is_stored(world: World) -> None:
    """Acceptance: 17, 38"""
    stranger = world.role(Administrator, world.chain.b)
    bundle = bundle_of({"op/__init__.py": "steal()\n"})
    document = complete_document(bundle, stranger.address, FIELDS)
    with pytest.raises(errors.OwnableUnauthorizedAccount):
        stranger.register_operation(bundle, document)
    assert not stranger.site.store.has(document.bundle)
    assert not stranger.site.store.has(document.digest())
    with pytest.raises(BadInputError, match="not registered"):
        stranger.site.documents.operation(operation_id(stranger.site.network, document))


def test_a_document_of_other_bytes_is_refused(world: World) -> None:
    administrator = world.administrator
    document = complete_document(b"one", administrator.address, FIELDS)
    with pytest.raises(BadInputError, match="another bundle"):
        administrator.register_operation(b"two", document)
    with pytest.raises(BadInputError, match="publisher"):
        other = complete_document(b"one", world.chain.b.address, FIELDS)
        administrator.register_operation(b"one", other)
    with pytest.raises(BadInputError, match="cid"):
        complete_document(b"one", administrator.address, {**FIELDS, "cid": cid_of("0x" + "0" * 64)})


def test_a_retired_operation_stays_retired(world: World) -> None:
    """Threat: retired operation."""
    operation = world.operation()
    assert world.administrator.retire_operation(operation)
    assert not world.administrator.retire_operation(operation)
    assert world.site("x").documents.usable([operation]) == {}
    with pytest.raises(TransactionError):
        world.role(Administrator, world.chain.a).retire_operation(world.operation())


def test_institution_enrols_and_removes_its_users(world: World) -> None:
    """Acceptance: 39, 68"""
    # Prepare
    chain, a = world.chain, world.a
    one, two = chain.account(), chain.account()
    # Execute, with a repetition that overlaps
    assert a.enrol_users([one.address]) == [one.address]
    assert a.enrol_users([one.address, two.address, two.address]) == [two.address]
    # Assert: enrolled by A, not by the administrator
    reader = a.site.reader
    assert reader.is_participant(one.address)
    assert a.site.contracts.institutions.enroller(two.address) == a.address
    with pytest.raises(errors.NotInstitution):
        world.role(Institution, chain.admin).enrol_users([chain.account().address])
    with pytest.raises(errors.UserExists):
        world.b.enrol_users([chain.account().address, one.address])
    with pytest.raises(errors.NotEnroller):
        world.b.remove_users([one.address])
    # Execute: removing, twice
    assert a.remove_users([one.address]) == [one.address]
    assert a.remove_users([one.address]) == []
    assert not reader.is_participant(one.address)
