"""Publishing: verified first, stored second, minted last; nothing is left half done."""

import json

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain import errors
from datatoken.ddo.models import Metadata
from datatoken.ddo.proof import children_hash, dt_of, make_ddo, parse_ddo, proof_of
from datatoken.errors import BadInputError, StoreError
from datatoken.roles import (
    AlgorithmProvider,
    AssetOwner,
    CompositionError,
    ComputeProvider,
    DataConsumer,
    DataProvider,
)
from datatoken.store import cid_of
from datatoken.trace import Node
from datatoken.types import AssetKind, sha256_hex
from tests.support.chain import fresh
from tests.support.world import World, composed, leaf


def blocks(world: World) -> set[str]:
    return {path.name for path in world.store_folder.rglob("*.data")}


def test_record_and_ddo_of_a_published_asset(world: World) -> None:
    """Acceptance: 3, 11, 12, 18, 19, 20, 21, 22, 40"""
    # Prepare
    provider = world.role(DataProvider, world.chain.a)
    metadata = leaf(world.operation(), name="Ward 3")
    # Execute
    ddo = provider.publish(metadata)
    # Assert: a reader gets from the DT to the document and back
    site = world.site("reader")
    record = site.documents.record(ddo.dt)
    content = site.store.get(record.ddo)
    assert record.owner == provider.address
    assert record.proof == ddo.proof == proof_of(metadata)
    assert sha256_hex(content) == record.ddo
    assert cid_of(record.ddo).startswith("b")
    assert parse_ddo(content) == site.documents.ddo(ddo.dt) == ddo
    assert (record.kind, record.children) == (AssetKind.DATA, 0)
    network = site.network
    assert ddo.dt == dt_of(
        network.chain_id, network.tokens, provider.address, ddo.proof, [], record.salt
    )


def test_the_same_metadata_and_salt_are_the_same_dt(world: World) -> None:
    # Prepare
    provider = world.role(DataProvider, world.chain.a)
    metadata = leaf(world.operation())
    first = provider.publish(metadata)
    transactions = world.chain.rpc.request("eth_getTransactionCount", [provider.address, "latest"])
    # Execute
    again = provider.publish(metadata)
    other = provider.publish(metadata, salt=1)
    # Assert: repeated without a transaction; another salt is another DT
    assert again == first
    assert other.dt != first.dt and other.proof == first.proof
    count = world.chain.rpc.request("eth_getTransactionCount", [provider.address, "latest"])
    assert int(count, 16) == int(transactions, 16) + 1


def test_repeating_restores_a_lost_block(world: World) -> None:
    provider = world.role(DataProvider, world.chain.a)
    metadata = leaf(world.operation())
    ddo = provider.publish(metadata)
    record = provider.site.documents.record(ddo.dt)
    for path in world.store_folder.rglob("*.data"):
        path.unlink()
    with pytest.raises(StoreError):
        world.site("reader").documents.ddo(ddo.dt)
    provider.publish(metadata)
    assert sha256_hex(world.site("reader").store.get(record.ddo)) == record.ddo


def test_one_account_holds_several_roles(world: World) -> None:
    """Acceptance: 3, 4, 5, 6, 10, 14, 23, 82"""
    # Prepare: one account, four roles
    account, operation = world.chain.b, world.operation()
    data = world.role(DataProvider, account).publish(leaf(operation))
    more = world.role(DataProvider, world.chain.a).publish(leaf(operation))
    compute = world.role(ComputeProvider, account).publish(leaf(operation, type="compute"))
    other = world.role(ComputeProvider, world.chain.a).publish(leaf(operation, type="compute"))
    # Execute: an algorithm over several data and several compute DTs
    children = [data.dt, more.dt, compute.dt, other.dt]
    stage = {str(index): operation for index in range(4)}
    algorithm = world.role(AlgorithmProvider, account).publish(
        composed(children, [stage], type="algorithm")
    )
    task = world.role(DataConsumer, account).create_task(f"A task of {algorithm.dt}")
    # Assert
    site = world.site("reader")
    kinds = [site.documents.record(ddo.dt).kind for ddo in (data, compute, algorithm)]
    assert kinds == [AssetKind.DATA, AssetKind.COMPUTE, AssetKind.ALGORITHM]
    assert site.documents.record(algorithm.dt).owner == account.address
    assert site.contracts.market.task(task).owner == account.address
    assert site.documents.ddo(algorithm.dt).children == children


@pytest.mark.parametrize(
    ("role", "type_"),
    [(DataProvider, "algorithm"), (ComputeProvider, "data"), (AlgorithmProvider, "compute")],
)
def test_a_role_publishes_its_own_kind(world: World, role: type[AssetOwner], type_: str) -> None:
    before = blocks(world)
    with pytest.raises(BadInputError, match="This role publishes"):
        world.role(role, world.chain.a).publish(leaf(type=type_))
    assert blocks(world) == before


def test_an_unregistered_user_cannot_publish(world: World) -> None:
    """Acceptance: 39, 69"""
    stranger = world.role(AssetOwner, world.chain.account())
    metadata = leaf(world.operation())
    before = blocks(world)
    with pytest.raises(errors.NotParticipant):
        stranger.publish(metadata)
    assert blocks(world) == before
    # Once A has enrolled it, it can
    world.a.enrol_users([stranger.address])
    assert stranger.publish(metadata).dt


def test_a_source_composed_of_sub_data(world: World) -> None:
    """Acceptance: 13, 26, 30, 31, 32, 36, 70, 71"""
    # Prepare
    edge, average = world.operation(), world.operation("server")
    users = [world.user(i).publish(leaf(edge, name=f"user {i}")).dt for i in range(3)]
    stage = {"0": edge, "1": edge, "2": edge, "self": average}
    # Execute
    ddo = world.role(DataProvider, world.chain.a).publish(
        composed(users, [stage], supported=[edge])
    )
    # Assert
    site = world.site("reader")
    record = site.documents.record(ddo.dt)
    assert site.documents.ddo(ddo.dt).children == users
    assert record.children == 3
    minted = dt_of(
        site.network.chain_id, site.network.tokens, record.owner, ddo.proof, users, record.salt
    )
    swapped = dt_of(
        site.network.chain_id,
        site.network.tokens,
        record.owner,
        ddo.proof,
        list(reversed(users)),
        record.salt,
    )
    assert ddo.dt == minted != swapped
    assert children_hash(users) != children_hash(list(reversed(users)))


def test_all_that_is_wrong_with_a_composite_is_said_at_once(world: World) -> None:
    """Acceptance: 28, 30"""
    # Prepare
    edge, extra = world.operation(), world.operation()
    retired, unknown, nobody = world.operation(), fresh(), fresh()
    world.administrator.retire_operation(retired)
    child = world.user().publish(leaf(edge)).dt
    metadata = composed(
        [child, nobody],
        [{"0": retired, "1": edge, "self": unknown}],
        supported=[extra],
    )
    before = blocks(world)
    provider = world.role(DataProvider, world.chain.a)
    # Execute
    with pytest.raises(CompositionError) as caught:
        provider.publish(metadata)
    # Assert
    found = {(v.child, v.field, v.why) for v in caught.value.violations}
    assert (nobody, "child_dts", "this DT does not exist") in found
    assert (retired, "set_ops[0]", "this operation is retired") in found
    assert (unknown, "set_ops[self]", "this operation is not registered") in found
    assert any(v.child == child and v.field == "supported_ops" for v in caught.value.violations)
    assert provider.check(metadata) == list(caught.value.violations)
    assert blocks(world) == before


def test_a_leaf_names_registered_operations_only(world: World) -> None:
    """Acceptance: 28, 29"""
    with pytest.raises(CompositionError, match="not registered"):
        world.user().publish(leaf(fresh()))
    operation = world.operation()
    assert world.user().publish(leaf(operation)).service.supported_ops == [operation]


def test_a_new_version_names_the_one_it_replaces(world: World) -> None:
    provider = world.role(DataProvider, world.chain.a)
    first, operation = provider.publish(leaf(world.operation())), world.operation()
    child = provider.publish(leaf(operation)).dt
    second = provider.publish(composed([child], [{"0": operation}], replaces=first.dt))
    assert second.service.extra_params.replaces == first.dt
    with pytest.raises(CompositionError, match="replaces"):
        provider.publish(composed([child], [{"0": operation}], replaces=fresh()))


def test_an_oversized_document_is_refused(world: World) -> None:
    text = "x" * 4000
    service = leaf(world.operation()).model_dump(mode="json", exclude_none=True)["services"][0]
    service["extra_params"]["annotations"] = {f"note {i}": text for i in range(70)}
    metadata = Metadata.model_validate_json(json.dumps({"services": [service]}))
    before = blocks(world)
    with pytest.raises(BadInputError, match="262144 are allowed"):
        world.user().publish(metadata)
    assert blocks(world) == before


def test_forged_ddo_is_refused(world: World) -> None:
    """Threat: forged DDO. A record whose bytes describe another DT."""
    # Prepare: a participant mints a record that points to somebody else's document
    chain = world.chain
    victim = world.user(0).publish(leaf(world.operation()))
    digest = world.site("x").documents.record(victim.dt).ddo
    forged = chain.mint(chain.users[1], proof=victim.proof, ddo=digest)
    # Execute, Assert
    with pytest.raises(Refused) as caught:
        world.site("reader").documents.ddo(forged)
    assert caught.value.reason is Reason.DOCUMENT_MISMATCH


def test_wrong_bytes_for_a_cid_are_refused(world: World) -> None:
    """Threat: wrong bytes for a CID."""
    ddo = world.user().publish(leaf(world.operation()))
    changed = 0
    for path in world.store_folder.rglob("*.data"):
        path.write_bytes(path.read_bytes()[:-1] + b" ")
        changed += 1
    assert changed
    with pytest.raises(StoreError, match="other bytes"):
        world.site("reader").documents.ddo(ddo.dt)


def test_squatted_id_is_impossible(world: World) -> None:
    """Threat: squatted id. The same document of another owner is another DT."""
    metadata = leaf(world.operation())
    first, second = world.user(0).publish(metadata), world.user(1).publish(metadata)
    assert first.dt != second.dt
    network = world.chain.network
    squatted = make_ddo(metadata, network.chain_id, network.tokens, world.chain.users[0].address)
    assert squatted.dt == first.dt


def test_an_algorithm_is_composed_in_one_call(world: World) -> None:
    """Acceptance: 94, 5, 14, 31, 32, 33, 34"""
    # Prepare
    share, train = world.operation(), world.operation(parameters={"epochs": {"type": "int"}})
    data = world.role(DataProvider, world.chain.a).publish(leaf(share)).dt
    compute = world.role(ComputeProvider, world.chain.a).publish(leaf(train, type="compute")).dt
    # Execute
    ddo = world.role(AlgorithmProvider, world.chain.b).compose(
        [data, compute],
        [{"0": share}, {"1": train}],
        name="Joint model",
        purpose="credit scoring",
        parameters={train: {"epochs": 3}},
        order=[["0"], ["1"]],
    )
    # Assert: a reader finds operations, parameters and order
    workflow = world.site("reader").documents.ddo(ddo.dt).service.workflows[0]
    assert (workflow.operations("0"), workflow.operations("1")) == ([share], [train])
    assert workflow.configs.parameters == {train: {"epochs": 3}}
    assert workflow.configs.order == [["0"], ["1"]]


def test_a_graph_made_to_explode_ends_at_the_limit(world: World) -> None:
    """Eight composites a level, each over all of the level below: few DDOs, many positions."""
    # Prepare
    edge = world.operation()
    owner = world.role(DataProvider, world.chain.a)
    level = [owner.publish(leaf(edge)).dt for _ in range(8)]
    for number in range(5):
        flow = [{str(index): edge if number == 0 else "self" for index in range(len(level))}]
        flow[0]["self"] = edge
        level = [owner.publish(composed(level, flow), salt=salt).dt for salt in range(8)]
    top = owner.publish(composed(level, [{str(i): "self" for i in range(8)}])).dt
    site = world.site("reader")
    # Execute, Assert: 8**6 positions, and an answer all the same
    with pytest.raises(BadInputError, match="4096"):
        site.documents.below(top)
    from datatoken.trace import downwards

    def count(node: Node) -> int:
        return 1 + sum(count(child) for child in node.below)

    assert count(downwards(site, top)) <= 4097
