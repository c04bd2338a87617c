"""MPC parties: one run configuration for all, every participant required, one compute request."""

from dataclasses import replace
from typing import Any

import pytest

from datatoken.authorization import Ask, Reason, Refused, View, authorize, parameters_digest
from datatoken.authorization.request import mpc_artefact
from datatoken.authorization.view import Grant
from datatoken.ddo import Configs, ExtraParams, ParameterSpec, RecorderRef, Terms, Workflow
from datatoken.ddo.terms import Constraint
from datatoken.types import sha256_hex
from tests.authorization.simulator import (
    RECORDER,
    World,
    ask,
    operation,
    record_of,
    service,
    with_state,
)
from tests.authorization.simulator import with_grant as grant_in

SHARE = operation(
    "share",
    "mpc",
    parameters={"clip": ParameterSpec(type="float", minimum=1, maximum=9, default=3)},
    records={},
)
TRAIN = operation(
    "train", "mpc", parameters={"epochs": ParameterSpec(type="int", minimum=1, maximum=10)}
)
SHARE_ID, TRAIN_ID = sha256_hex(b"share id"), sha256_hex(b"train id")
ARTEFACT = mpc_artefact([SHARE.bundle, TRAIN.bundle])
PARAMETERS = {"clip": 3, "epochs": 5}


def two_banks(
    data_terms: Terms | None = None, fixed: dict[str, dict[str, Any]] | None = None
) -> tuple[World, View]:
    """Return a bank's data (u0) and another's compute (u1) below the fintech's algorithm."""
    world = World(users=2)
    world.add(
        "u0",
        service(
            "data", supported_ops=[SHARE_ID], extra_params=ExtraParams(terms=data_terms or Terms())
        ),
    )
    world.add("u1", service("compute", supported_ops=[TRAIN_ID]))
    del world.ddos["maker"]
    world.add(
        "fintech",
        service(
            "algorithm",
            child_dts=[world.dt("u0"), world.dt("u1")],
            workflows=[
                Workflow(
                    set_ops=[{"0": SHARE_ID, "1": TRAIN_ID}],
                    configs=Configs(parameters=fixed or {}),
                )
            ],
            extra_params=ExtraParams(
                purpose="credit", recorder=RecorderRef(account=RECORDER, endpoint="http://r")
            ),
        ),
    )
    world.dt = lambda owner: world.ddos.get(owner, world.ddos["fintech"]).dt  # type: ignore[method-assign]
    view = signed(world, PARAMETERS)
    return world, view


def signed(world: World, parameters: dict[str, Any], **more: Any) -> View:
    """Return the honest view with a request for `parameters`, addressed to everybody."""
    request = world.request(
        operation=more.pop("operation", ARTEFACT),
        parameters=parameters_digest(parameters),
        audience=world.dt("fintech"),
        **more,
    )
    view = with_state(
        world.view(request), operations={SHARE_ID: record_of(SHARE), TRAIN_ID: record_of(TRAIN)}
    )
    return replace(view, operations={SHARE_ID: SHARE, TRAIN_ID: TRAIN})


def party(world: World, asset: str, **more: Any) -> Ask:
    """Return what the gate of a bank's data (u0) or compute (u1) is asked."""
    document = SHARE if asset == "u0" else TRAIN
    fields: dict[str, Any] = {
        "bundle": document.bundle,
        "artefact": ARTEFACT,
        "parameters": PARAMETERS,
        "records": {},
    }
    return ask(world, asset, **(fields | more))


def refused(view: View, asked: Ask) -> Reason:
    with pytest.raises(Refused) as caught:
        authorize(view, asked)
    return caught.value.reason


def test_all_parties_are_asked_with_one_run_configuration() -> None:
    """Acceptance: 57, 64, 110, 112."""
    world, view = two_banks()

    assert authorize(view, party(world, "u0")).operation == SHARE_ID
    assert authorize(view, party(world, "u1")).operation == TRAIN_ID


def test_parameter_that_no_partys_operation_declares() -> None:
    world, _ = two_banks()
    parameters = {**PARAMETERS, "dump-shares": True}
    view = signed(world, parameters)

    for asset in ("u0", "u1"):
        asked = party(world, asset, parameters=parameters)
        assert refused(view, asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_data_owners_terms_bind_the_other_partys_parameters() -> None:
    """The bank whose rows are shared limits how long others train on the shares."""
    world, view = two_banks(Terms(parameters={"epochs": Constraint(maximum=3)}))

    assert refused(view, party(world, "u0")) is Reason.PARAMETERS_OUTSIDE_TERMS


@pytest.mark.parametrize("asset", ["u0", "u1"])
@pytest.mark.parametrize("name", ["epochs", "clip"])
def test_parameter_of_the_terms_that_the_request_leaves_out(asset: str, name: str) -> None:
    """Threat: parameters outside terms, by the default of code that nobody has said aloud."""
    world, honest = two_banks(Terms(parameters={name: Constraint(maximum=9)}))
    parameters = {key: value for key, value in PARAMETERS.items() if key != name}
    view = signed(world, parameters)

    assert authorize(honest, party(world, asset)).asset == world.dt(asset)
    asked = party(world, asset, parameters=parameters)
    if asset == "u0":  # whose terms they are; without that party, nothing runs at the other one
        assert refused(view, asked) is Reason.PARAMETERS_OUTSIDE_TERMS
    else:
        assert authorize(view, asked).asset == world.dt(asset)


def test_parameter_outside_the_other_partys_schema() -> None:
    world, _ = two_banks()
    parameters = {**PARAMETERS, "epochs": 11}
    view = signed(world, parameters)

    asked = party(world, "u0", parameters=parameters)
    assert refused(view, asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_parameter_that_the_workflow_fixes_for_another_party() -> None:
    world, view = two_banks(fixed={TRAIN_ID: {"epochs": 4}})

    assert refused(view, party(world, "u0")) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_request_for_other_bundles() -> None:
    world, _ = two_banks()
    view = signed(world, PARAMETERS, operation=mpc_artefact([TRAIN.bundle]))

    assert refused(view, party(world, "u1")) is Reason.REQUEST_MISMATCH


def test_one_revoked_grant_stops_every_party() -> None:
    """MPC always needs all.

    Acceptance: 60, 64, 105
    """
    world, view = two_banks()
    view = grant_in(view, world.dt("fintech"), world.dt("u0"), Grant(epoch=1))

    assert refused(view, party(world, "u0")) is Reason.GRANT_REVOKED
    assert refused(view, party(world, "u1")) is Reason.TOO_FEW_PARTICIPANTS


def test_the_artefact_does_not_depend_on_the_order_of_parties() -> None:
    assert mpc_artefact([TRAIN.bundle, SHARE.bundle, SHARE.bundle]) == ARTEFACT
