"""The agreement check: every violation of a child's terms at once."""

from datatoken.ddo import (
    Configs,
    Constraint,
    Ddo,
    ExtraParams,
    Terms,
    Workflow,
    agreement_violations,
    composition_violations,
    make_ddo,
)
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    EDGECOMP,
    FEDAVERAGE,
    NOW,
    World,
    service,
)

OPERATIONS = {EDGE_ID: EDGECOMP, AVERAGE_ID: FEDAVERAGE}


def ddo(metadata) -> Ddo:
    return make_ddo(metadata, 31337, "0x" + "1" * 40, "0x" + "2" * 40)


def test_honest_composite_agrees_with_every_child():
    """Acceptance: 42, 73, 74."""
    world = World()
    maker, fintech = world.ddos["maker"], world.ddos["fintech"]

    for name in ("u0", "u1", "u2", "u3"):
        assert agreement_violations(world.ddos[name], maker, OPERATIONS, now=NOW) == []
    assert agreement_violations(maker, fintech, OPERATIONS, now=NOW) == []


def test_all_violations_are_returned_at_once():
    """Acceptance: 42."""
    terms = Terms(
        purposes=["heart disease"],
        expiry=NOW - 1,
        parameters={"local-epochs": Constraint(maximum=2)},
        guarantors=["0x" + "5" * 40],
        min_participants=5,
    )
    child = ddo(service("data", supported_ops=[EDGE_ID], extra_params=ExtraParams(terms=terms)))
    parent = ddo(
        service(
            "data",
            child_dts=[child.dt],
            workflows=[
                Workflow(
                    set_ops=[{"0": AVERAGE_ID}, {"0": EDGE_ID}],
                    configs=Configs(parameters={EDGE_ID: {"local-epochs": 3, "dump": True}}),
                )
            ],
            extra_params=ExtraParams(purpose="advertising"),
        )
    )

    found = agreement_violations(child, parent, OPERATIONS, now=NOW, guarantor="0x" + "6" * 40)

    assert {violation.field for violation in found} == {
        "supported_ops",
        "parameters",
        "purpose",
        "expiry",
        "guarantors",
        "min_participants",
    }


def test_grant_to_a_non_parent():
    world = World()
    stranger = World(leaf_terms=Terms(max_rounds=1)).ddos["u0"]

    found = agreement_violations(stranger, world.ddos["maker"], OPERATIONS, now=NOW)

    assert [violation.field for violation in found] == ["child_dts"]


def test_composite_offers_only_what_all_children_support():
    """Acceptance: 28, 30."""
    one = ddo(service("data", supported_ops=[EDGE_ID, AVERAGE_ID]))
    two = ddo(service("data", supported_ops=[EDGE_ID]))
    parent = service(
        "data",
        child_dts=[one.dt, two.dt],
        supported_ops=[EDGE_ID, AVERAGE_ID],
        workflows=[Workflow(set_ops=[{"0": EDGE_ID, "1": EDGE_ID}])],
    )

    found = composition_violations(parent, [one, two], OPERATIONS)

    assert [(violation.child, violation.field) for violation in found] == [
        (two.dt, "supported_ops")
    ]


def test_child_that_does_not_exist_and_operation_that_is_not_registered():
    """Acceptance: 28."""
    one = ddo(service("data", supported_ops=[EDGE_ID]))
    parent = service(
        "data",
        child_dts=[one.dt, "0x" + "9" * 64],
        workflows=[Workflow(set_ops=[{"0": "0x" + "8" * 64, "1": EDGE_ID}])],
    )

    found = composition_violations(parent, [one], OPERATIONS)

    assert {violation.field for violation in found} == {"child_dts", "set_ops[0]"}


def test_parent_that_accepts_other_guarantors_or_fewer_members_than_the_child():
    """Acceptance: 42."""
    mine, other = "0x" + "5" * 40, "0x" + "6" * 40
    terms = Terms(guarantors=[mine], min_participants=2)
    child = ddo(service("data", supported_ops=[EDGE_ID], extra_params=ExtraParams(terms=terms)))
    sibling = ddo(service("data", supported_ops=[EDGE_ID]))
    asked = Terms(guarantors=[mine, other], min_participants=1)
    parent = ddo(
        service(
            "data",
            child_dts=[child.dt, sibling.dt],
            workflows=[Workflow(set_ops=[{"0": EDGE_ID, "1": EDGE_ID}])],
            extra_params=ExtraParams(terms=asked),
        )
    )

    found = agreement_violations(child, parent, OPERATIONS, now=NOW)

    assert [str(violation).split(": ")[1] for violation in found] == [
        "guarantors",
        "min_participants",
    ]


def test_operation_that_nobody_registered():
    """Acceptance: 28."""
    unknown = "0x" + "8" * 64
    child = ddo(service("data", supported_ops=[unknown]))
    flow = Workflow(set_ops=[{"0": unknown}])
    metadata = service("data", child_dts=[child.dt], supported_ops=[unknown], workflows=[flow])

    granting = agreement_violations(child, ddo(metadata), OPERATIONS, now=NOW)
    composing = composition_violations(metadata, [child], OPERATIONS)

    assert [violation.why for violation in granting] == [
        f"operation {unknown[:10]}… is not registered"
    ]
    assert {violation.field for violation in composing} == {"supported_ops", "set_ops[0]"}
