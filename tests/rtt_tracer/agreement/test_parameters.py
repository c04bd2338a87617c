"""The one run configuration: defaults, what workflows fix, what the requester gives."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken.ddo import Configs, ParameterSpec, Workflow
from datatoken.ddo import Service as DdoService
from datatoken.ddo.terms import violations
from datatoken.errors import BadInputError
from datatoken.types import Scalar
from rtt_tracer.agreement.parameters import effective_parameters, fixed_parameters
from tests.support.mpc import COMPUTE, SHARE, MpcWorld, id_of, mpc_operation

DOCUMENTS = [SHARE, COMPUTE]


def test_requester_over_workflow_over_defaults() -> None:
    found = effective_parameters(DOCUMENTS, {"epochs": 7}, {"protocol": "ABY3"})

    assert found == {"protocol": "ABY3", "epochs": 7, "receivers": "requester"}


def test_what_the_workflow_fixes_nobody_changes() -> None:
    assert effective_parameters(DOCUMENTS, {"epochs": 7}, {"epochs": 7})["epochs"] == 7
    with pytest.raises(BadInputError, match="fixed to 7"):
        effective_parameters(DOCUMENTS, {"epochs": 7}, {"epochs": 8})


scalars: st.SearchStrategy[Scalar] = (
    st.booleans() | st.integers(-10, 200) | st.floats() | st.text(max_size=5)
)


@given(st.dictionaries(st.sampled_from(["epochs", "protocol", "receivers", "surprise"]), scalars))
def test_result_fits_every_schema_or_there_is_none(given_: dict[str, Scalar]) -> None:
    try:
        found = effective_parameters(DOCUMENTS, {}, given_)
    except BadInputError as error:
        assert "do not fit" in error.message
        return
    assert found.keys() >= given_.keys()
    for document in DOCUMENTS:
        assert violations(document.parameters, found, closed=True) == []


def test_defaults_that_differ_need_a_value() -> None:
    other = mpc_operation(
        "other", "spu.compute", parameters={"epochs": ParameterSpec(type="int", default=9)}
    )

    with pytest.raises(BadInputError, match="different defaults"):
        effective_parameters([SHARE, other], {}, {})
    assert effective_parameters([SHARE, other], {}, {"epochs": 3})["epochs"] == 3
    assert effective_parameters([SHARE, other], {"epochs": 3}, {})["epochs"] == 3


def fixing(*values: dict[str, Scalar]) -> MpcWorld:
    """Return a world with one more workflow for each mapping of fixed values."""
    world = MpcWorld()
    stage = {str(i): id_of(document) for i, (_, document) in enumerate(world.leaves)}
    flows = [
        Workflow(set_ops=[stage], configs=Configs(parameters={id_of(COMPUTE): fixed}))
        for fixed in values
    ]
    world.algorithm = world.add(
        DdoService(type="algorithm", endpoint="urn:fixed", child_dts=world.dts, workflows=flows)
    )
    return world


def test_what_workflows_fix_for_these_operations() -> None:
    tree = fixing({"epochs": 4}, {"protocol": "CHEETAH"}).tree()

    assert fixed_parameters(tree, [id_of(COMPUTE)]) == {"epochs": 4, "protocol": "CHEETAH"}
    assert fixed_parameters(tree, [id_of(SHARE)]) == {}


def test_workflows_that_fix_one_parameter_differently_are_bad_input() -> None:
    tree = fixing({"epochs": 4}, {"epochs": 5}).tree()

    with pytest.raises(BadInputError, match="fix parameter 'epochs'"):
        fixed_parameters(tree, [id_of(COMPUTE)])
