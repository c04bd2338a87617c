"""End users: own keys, no funds; what they sign, a relayer sends, and can do nothing else with."""

import time

import pytest

from datatoken.chain import errors
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.roles import AgreementError, DataProvider, EndUser, parse_signed
from datatoken.types import Hex32
from tests.support.chain import fresh
from tests.support.world import World, composed, leaf


@pytest.fixture
def user(world: World) -> EndUser:
    """A user enrolled by A, with a key and no funds."""
    signer = Signer.random()
    world.a.enrol_users([signer.address])
    return world.end_user(signer)


def composite_over(world: World, child: Hex32, operation: Hex32) -> Hex32:
    owner = world.role(DataProvider, world.chain.a)
    return owner.publish(composed([child], [{"0": operation}])).dt


def test_user_owns_a_dt_without_any_funds(world: World, user: EndUser) -> None:
    """Acceptance: 7, 39, 70, 73"""
    # Prepare
    operation = world.operation()
    metadata = leaf(operation, name="Watch")
    # Execute: signed on the device, sent by A, twice
    signed = parse_signed(user.sign_mint(metadata).model_dump_json(exclude_none=True).encode())
    world.a.relay(signed)
    world.a.relay(signed)
    dt = signed.ddo.dt  # type: ignore[union-attr]
    # Assert
    site = world.site("reader")
    assert site.documents.record(dt).owner == user.address
    assert site.documents.ddo(dt).service.extra_params.name == "Watch"
    assert int(site.rpc.request("eth_getBalance", [user.address, "latest"]), 16) == 0
    # Execute: granting and revoking likewise
    parent = composite_over(world, dt, operation)
    grant = user.sign_grant(dt, parent, max_rounds=3)
    world.a.relay(grant)
    world.a.relay(grant)
    slot = site.reader.grant(parent, dt)
    assert (slot.active, slot.max_rounds, slot.epoch) == (True, 3, 0)
    revocation = user.sign_revocation(dt, parent)
    world.a.relay(revocation)
    world.a.relay(revocation)
    slot = site.reader.grant(parent, dt)
    assert (slot.active, slot.epoch) == (False, 1)


def test_replayed_signed_grant_is_refused(world: World, user: EndUser) -> None:
    """Threat: replayed signed grant."""
    operation = world.operation()
    signed = user.sign_mint(leaf(operation))
    world.a.relay(signed)
    dt = signed.ddo.dt
    parent = composite_over(world, dt, operation)
    grant = user.sign_grant(dt, parent)
    world.a.relay(grant)
    world.a.relay(user.sign_revocation(dt, parent))
    with pytest.raises(errors.StaleEpoch):
        world.a.relay(grant)
    assert not world.site("reader").reader.grant(parent, dt).active
    # A new signature names the new epoch
    world.a.relay(user.sign_grant(dt, parent))
    assert world.site("reader").reader.grant(parent, dt).active


def test_blocked_signed_revocation(world: World, user: EndUser) -> None:
    """Threat: blocked signed revocation. An older grant sent first does not stop it."""
    operation = world.operation()
    signed = user.sign_mint(leaf(operation))
    world.a.relay(signed)
    dt = signed.ddo.dt
    parent = composite_over(world, dt, operation)
    grant, revocation = user.sign_grant(dt, parent), user.sign_revocation(dt, parent)
    world.b.relay(grant)
    world.b.relay(revocation)
    slot = world.site("reader").reader.grant(parent, dt)
    assert (slot.active, slot.epoch) == (False, 1)


def test_the_relayer_can_change_nothing(world: World, user: EndUser) -> None:
    # Prepare
    operation = world.operation()
    mint = user.sign_mint(leaf(operation))
    other = user.sign_mint(leaf(operation))
    # Execute, Assert: another document, owner, salt or deadline under the same signature
    for change in (
        {"ddo": other.ddo},
        {"owner": world.chain.a.address},
        {"salt": 5},
        {"deadline": mint.deadline + 1},
        {"signature": "0x" + "11" * 65},
    ):
        with pytest.raises(BadInputError, match="not signed"):
            world.a.relay(mint.model_copy(update=change))
    world.a.relay(mint)
    grant = user.sign_grant(mint.ddo.dt, composite_over(world, mint.ddo.dt, operation))
    for change in ({"max_rounds": 99}, {"expiry": 2**40}, {"epoch": 1}):
        with pytest.raises(BadInputError, match="not signed"):
            world.a.relay(grant.model_copy(update=change))


def test_nothing_is_signed_that_publish_or_grant_would_refuse(world: World, user: EndUser) -> None:
    """Acceptance: 42, 69"""
    operation = world.operation()
    with pytest.raises(errors.NotParticipant):
        world.end_user(Signer.random()).sign_mint(leaf(operation))
    with pytest.raises(BadInputError, match="This role publishes"):
        user.sign_mint(leaf(operation, type="algorithm"))
    signed = user.sign_mint(leaf(operation, purposes=["care"]))
    world.a.relay(signed)
    parent = composite_over(world, signed.ddo.dt, operation)
    with pytest.raises(AgreementError, match="purpose"):
        user.sign_grant(signed.ddo.dt, parent)
    with pytest.raises(errors.NotTokenOwner):
        world.end_user(Signer.random()).sign_revocation(signed.ddo.dt, parent)


def test_a_signature_past_its_deadline_is_refused(world: World, user: EndUser) -> None:
    signed = user.sign_mint(leaf(world.operation()), deadline=int(time.time()) - 10)
    with pytest.raises(errors.SignatureExpired):
        world.a.relay(signed)


def test_delegation_of_a_node_key(world: World, user: EndUser) -> None:
    signed = user.sign_mint(leaf(world.operation()))
    world.a.relay(signed)
    node = Signer.random()
    delegation = user.delegate(signed.ddo.dt, node.address, 2**33)
    assert delegation.owner() == user.address
    assert (delegation.dt, delegation.node) == (signed.ddo.dt, node.address)
    moved = delegation.model_copy(update={"node": world.chain.a.address})
    assert moved.owner() != user.address
    with pytest.raises(errors.NotTokenOwner):
        world.user(0).delegate(signed.ddo.dt, node.address, 2**33)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{}", b'{"type":"burn"}', b'{"type":"grant","child":1}']
)
def test_malformed_signed_message(content: bytes) -> None:
    with pytest.raises(BadInputError):
        parse_signed(content)


def test_a_signed_ddo_of_another_dt_is_refused(world: World, user: EndUser) -> None:
    """Threat: forged DDO. The signature is right, the dt is not what owner and salt give."""
    signed = user.sign_mint(leaf(world.operation()))
    forged = signed.model_copy(update={"ddo": signed.ddo.model_copy(update={"dt": fresh()})})
    signature = user.signer.sign_full(forged.typed_data(world.chain.network))
    with pytest.raises(BadInputError, match="not the one that its owner and salt give"):
        world.a.relay(forged.model_copy(update={"signature": signature}))
    assert not world.site("x").documents.find([signed.ddo.dt])
