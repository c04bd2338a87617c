"""The plan of a run: roles, ranks, protocols, receivers, and the agreed hash."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import run_id
from datatoken.errors import BadInputError, DataTokenError
from datatoken.types import MessageKind, Scalar, sha256_hex
from rtt_tracer.agreement.plan import Plan, make_plan
from rtt_tracer.engines.base import Role
from tests.support.mpc import (
    COMPUTE,
    INTERSECT,
    LOCAL,
    PARAMETERS,
    ROSETTA,
    SHARE,
    TWO_BANKS,
    Leaf,
    MpcWorld,
    id_of,
    mpc_operation,
)


def reason_of(world: MpcWorld, **more: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        world.plan(**more)
    return caught.value.reason


def test_four_dts_of_two_banks_get_roles_ranks_and_inputs_in_tree_order() -> None:
    """Acceptance: 57."""
    world = MpcWorld()

    plan = world.plan()

    assert [one.dt for one in plan.participants] == world.dts
    assert [one.role for one in plan.participants] == [
        Role.SPU_SHARE, Role.SPU_SHARE, Role.SPU_COMPUTE, Role.SPU_COMPUTE,
    ]  # fmt: skip
    assert [one.rank for one in plan.participants] == [None, None, 0, 1]
    assert [one.input for one in plan.participants] == [0, 1, None, None]
    assert (plan.protocol, plan.kind, plan.receivers) == (
        "CHEETAH", MessageKind.TRAIN, ("requester",),
    )  # fmt: skip
    assert plan.run == run_id(world.request().digest()) == world.request().digest()[2:34]


def test_every_party_derives_the_same_plan_from_its_own_documents() -> None:
    """A party reads the composites and its own leaf, nobody else's."""
    world = MpcWorld()

    plans = [world.plan(only=dt) for dt in world.dts]

    assert all(plan == plans[0] for plan in plans)


def test_a_bank_composed_into_a_composite_keeps_its_place() -> None:
    """Depth first: what is below child 0 comes before child 1."""
    world = MpcWorld()
    share, compute = id_of(SHARE), id_of(COMPUTE)
    bank = world.compose([world.dts[0], world.dts[2]], [{"0": share, "1": compute}], kind="data")
    world.algorithm = world.compose(
        [bank, world.dts[1], world.dts[3]], [{"0": "self", "1": share, "2": compute}]
    )

    plan = world.plan()

    assert [one.dt for one in plan.participants] == [
        world.dts[0], world.dts[2], world.dts[1], world.dts[3],
    ]  # fmt: skip
    assert [one.rank for one in plan.participants] == [None, 0, None, 1]


def with_protocol(leaves: Sequence[Leaf], **parameters: Scalar) -> Plan:
    return MpcWorld(leaves, {**PARAMETERS, **parameters}).plan()


@pytest.mark.parametrize(
    ("computes", "protocol"),
    [(2, "CHEETAH"), (3, "ABY3"), (3, "SECURENN")],
)
def test_protocols_run_between_as_many_parties_as_they_need(computes: int, protocol: str) -> None:
    leaves = [*TWO_BANKS[:2], *[("compute", COMPUTE)] * computes]
    assert with_protocol(leaves, protocol=protocol).protocol == protocol
    for other in {1, 2, 3, 4} - {computes}:
        leaves = [*TWO_BANKS[:2], *[("compute", COMPUTE)] * other]
        with pytest.raises(BadInputError, match=f"algorithm has {other}"):
            with_protocol(leaves, protocol=protocol)


def test_trusted_dealer_only_behind_an_explicit_switch() -> None:
    for switch in ({}, {"insecure-dealer": False}):
        with pytest.raises(Refused) as caught:
            with_protocol(TWO_BANKS, protocol="SEMI2K", **switch)
        assert caught.value.reason is Reason.PROTOCOL_INSECURE
    plan = with_protocol(TWO_BANKS, protocol="SEMI2K", **{"insecure-dealer": True})
    assert plan.protocol == "SEMI2K"


@pytest.mark.parametrize("protocol", ["", "REF2K", "cheetah", "SecureNN"])
def test_unknown_protocol_is_bad_input(protocol: str) -> None:
    with pytest.raises(BadInputError, match="no protocol"):
        with_protocol(TWO_BANKS, protocol=protocol)


def test_rosetta_party_without_rows_is_no_input() -> None:
    plan = with_protocol(
        [("data", ROSETTA), ("data", ROSETTA), ("compute", ROSETTA)], protocol="SecureNN"
    )

    assert [one.rank for one in plan.participants] == [0, 1, 2]
    assert [one.input for one in plan.participants] == [0, 1, None]


@pytest.mark.parametrize(
    "leaves",
    [
        [("data", SHARE), ("data", SHARE)],
        [("compute", COMPUTE), ("compute", COMPUTE)],
        [("data", SHARE), ("data", ROSETTA), ("compute", COMPUTE), ("compute", COMPUTE)],
        [("data", INTERSECT)],
        [("data", INTERSECT)] * 3,
        [("data", LOCAL), ("data", SHARE)],
        [("data", ROSETTA)] * 2,
    ],
)
def test_roles_that_do_not_go_together_are_bad_input(leaves: list[Leaf]) -> None:
    with pytest.raises(BadInputError):
        with_protocol(leaves, protocol="SecureNN" if ("data", ROSETTA) in leaves else "CHEETAH")


def test_one_bank_alone_runs_locally_and_two_intersect() -> None:
    alone = with_protocol([("data", LOCAL)])
    pair = with_protocol([("data", INTERSECT)] * 2)

    assert (alone.protocol, alone.linked, len(alone.inputs)) == ("", (), 1)
    assert [one.rank for one in pair.participants] == [0, 1]


def test_request_for_other_code_or_parameters_is_refused() -> None:
    """Acceptance: 112."""
    world = MpcWorld()
    other = sha256_hex(b"other")

    assert reason_of(world, operation=other) is Reason.REQUEST_MISMATCH
    assert reason_of(world, parameters=other) is Reason.REQUEST_MISMATCH


def test_dt_with_two_operations_is_refused() -> None:
    world = MpcWorld(
        stages=[
            {"0": id_of(SHARE), "1": id_of(SHARE), "2": id_of(COMPUTE), "3": id_of(COMPUTE)},
            {"0": id_of(COMPUTE)},
        ]
    )

    assert reason_of(world) is Reason.OPERATION_MISMATCH


def test_operation_whose_document_is_missing_is_refused() -> None:
    world = MpcWorld()
    plan_of = dict(world.operations)
    request = world.request()
    del plan_of[id_of(SHARE)]

    with pytest.raises(Refused) as caught:
        make_plan(world.tree(), plan_of, world.records, request, world.parameters)

    assert caught.value.reason is Reason.OPERATION_NOT_REGISTERED


def test_operations_with_two_roles_or_no_common_message_are_refused() -> None:
    both = mpc_operation("both", "spu.share", entry_points={"spu.share": "a", "local": "b"})
    alien = mpc_operation("alien", "clientapp")
    queries = mpc_operation("queries", "spu.share", messages=[MessageKind.QUERY])

    assert reason_of(MpcWorld([("data", both)])) is Reason.OPERATION_MISMATCH
    assert reason_of(MpcWorld([("data", alien)])) is Reason.OPERATION_MISMATCH
    mixed = MpcWorld([("data", queries), *TWO_BANKS[1:]])
    assert reason_of(mixed) is Reason.MESSAGE_KIND_NOT_ANSWERED


def test_algorithm_without_mpc_or_with_too_many_parties_is_refused() -> None:
    flower = mpc_operation("edgecomp", "clientapp", kind="client")

    assert reason_of(MpcWorld([("data", flower)])) is Reason.NOT_IN_JOB
    assert reason_of(MpcWorld([("data", LOCAL)] * 17)) is Reason.NOT_IN_JOB


def test_results_go_to_named_receivers_only() -> None:
    world = MpcWorld(parameters={**PARAMETERS, "receivers": "requester, 0,3,0"})
    assert world.plan().receivers == ("requester", world.dts[0], world.dts[3])
    for wrong in ("", "4", "-1", "everybody", "requester,", "0x1", "٣"):
        with pytest.raises(BadInputError, match="receiver"):
            with_protocol(TWO_BANKS, receivers=wrong)


# The agreed hash


def test_agreed_hash_is_the_same_at_all_parties() -> None:
    world = MpcWorld()
    found = world.all(world.plan())
    backwards = dict(reversed(found.items()))

    hashes = {world.plan(only=dt).agreed(found) for dt in world.dts}

    assert hashes == {world.plan().agreed(backwards)}


@pytest.mark.parametrize(
    "change",
    [
        {"job": sha256_hex(b"1")},
        {"algorithm": sha256_hex(b"2")},
        {"artefact": sha256_hex(b"3")},
        {"parameters": {"epochs": 3}},
        {"kind": MessageKind.EVALUATE},
        {"protocol": "ABY3"},
        {"receivers": ("requester", "0x")},
    ],
    ids=lambda change: next(iter(change)),
)
def test_whatever_a_party_sees_otherwise_changes_the_agreed_hash(change: dict[str, Any]) -> None:
    """A party with another learning rate: nothing is shared before all hashes are equal."""
    world = MpcWorld()
    plan = world.plan()
    seen = replace(plan, **change)
    found = world.all(plan)
    told = {dt: world.introduce(seen, dt, control=found[dt].introduction.control,
                                link=found[dt].introduction.link) for dt in plan.dts}  # fmt: skip

    assert seen.agreed(told) != plan.agreed(found)


@pytest.mark.parametrize("field", ["operation", "bundle", "entry_point", "rank"])
def test_another_part_of_a_participant_changes_the_agreed_hash(field: str) -> None:
    world = MpcWorld()
    plan = world.plan()
    other = {"rank": 5, "entry_point": "other:main"}.get(field, sha256_hex(b"x"))
    one = replace(plan.participants[2], **{field: other})
    seen = replace(plan, participants=(*plan.participants[:2], one, *plan.participants[3:]))
    found = world.all(plan)

    if field == "entry_point":  # fixed by the operation's id, whose document it is in
        assert seen.agreed(found) == plan.agreed(found)
    else:
        assert seen.agreed(found) != plan.agreed(found)


def test_another_introduction_of_a_peer_changes_the_agreed_hash() -> None:
    world = MpcWorld()
    plan = world.plan()
    found = world.all(plan)
    other = found | {world.dts[3]: world.introduce(plan, world.dts[3])}  # on another port

    assert plan.agreed(other) != plan.agreed(found)


def test_stranger_is_no_participant() -> None:
    with pytest.raises(DataTokenError) as caught:
        MpcWorld().plan().of(sha256_hex(b"stranger"))
    assert caught.value.code == "NOT_IN_JOB"
