"""Documents: what a DDO may say, and that it is refused where it says anything else."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken.ddo import (
    Constraint,
    Ddo,
    ExtraParams,
    Metadata,
    Service,
    Terms,
    Workflow,
    ddo_bytes,
    make_ddo,
    parse_ddo,
    proof_of,
)
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.terms import violations
from datatoken.errors import BadInputError
from datatoken.types import AssetKind, MessageKind, sha256_hex

REGISTRY, OWNER = "0x" + "1" * 40, "0x" + "2" * 40
OP, OTHER_OP = sha256_hex(b"op"), sha256_hex(b"other op")
CHILD, SECOND = sha256_hex(b"child"), sha256_hex(b"second child")


def leaf(**more) -> Metadata:
    values = {"type": "data", "endpoint": "https://a.example", "supported_ops": [OP]}
    return Metadata(services=[Service(**(values | more))])


def composite(**more) -> Metadata:
    values = {
        "child_dts": [CHILD, SECOND],
        "workflows": [Workflow(set_ops=[{"0": OP, "1": OP}])],
    }
    return leaf(**(values | more))


def stored(metadata: Metadata) -> dict:
    """Return an honest DDO as plain JSON."""
    return json.loads(ddo_bytes(make_ddo(metadata, 31337, REGISTRY, OWNER)))


def refused(plain) -> str:
    with pytest.raises(BadInputError) as caught:
        parse_ddo(canonical_bytes(plain))
    return caught.value.message


def test_ddo_has_the_documented_fields_and_no_others():
    """Acceptance: 19, 20, 24, 25."""
    extra = ExtraParams(name="beats", description="ECG", provider="A", price="0")
    plain = stored(leaf(extra_params=extra))

    assert set(plain) == {"dt", "proof", "services"}
    assert set(plain["services"][0]) == {
        "type",
        "endpoint",
        "child_dts",
        "supported_ops",
        "workflows",
        "extra_params",
    }
    assert plain["services"][0]["endpoint"] == "https://a.example"
    assert plain["services"][0]["extra_params"]["price"] == "0"


@pytest.mark.parametrize("kind", ["data", "compute", "algorithm"])
def test_type_tells_the_kinds_apart(kind):
    """Acceptance: 11, 23."""
    assert leaf(type=kind).kind is AssetKind[kind.upper()]


def test_leaf_has_no_children():
    """Acceptance: 12."""
    assert stored(leaf())["services"][0]["child_dts"] == []


def test_children_are_an_ordered_list():
    """Another order is another DT. Acceptance: 13, 26."""
    one = make_ddo(composite(), 31337, REGISTRY, OWNER)
    two = make_ddo(composite(child_dts=[SECOND, CHILD]), 31337, REGISTRY, OWNER)

    assert one.children == [CHILD, SECOND]
    assert one.dt != two.dt


def test_empty_children_with_workflows_are_rejected():
    """Acceptance: 27."""
    plain = stored(composite())
    plain["services"][0]["child_dts"] = []

    assert "a leaf runs no workflow" in refused(plain)


def test_set_ops_give_every_child_an_operation():
    """Acceptance: 31, 32."""
    plain = stored(composite())
    del plain["services"][0]["workflows"][0]["set_ops"][0]["1"]

    assert "gives no operation to child 1" in refused(plain)


def test_order_of_computation_names_known_children():
    """Acceptance: 34."""
    plain = stored(composite())
    plain["services"][0]["workflows"][0]["configs"]["order"] = [["0"], ["1"]]
    document = make_ddo(
        Metadata.model_validate_json(json.dumps({"services": plain["services"]})),
        31337,
        REGISTRY,
        OWNER,
    )
    assert document.service.workflows[0].configs.order == [["0"], ["1"]]

    plain["services"][0]["workflows"][0]["configs"]["order"] = [["0"], ["self"]]
    assert "set_ops does not" in refused(plain)


def test_self_is_a_child_workflow_or_the_composites_own_operation():
    """Acceptance: 35, 36."""
    flow = Workflow(set_ops=[{"0": "self", "1": "self", "self": OP}])
    assert composite(workflows=[flow])

    plain = stored(composite(workflows=[flow]))
    plain["services"][0]["workflows"][0]["set_ops"][0]["self"] = "self"
    assert "self can't run self" in refused(plain)


@pytest.mark.parametrize(
    "path",
    [(), ("services", 0), ("services", 0, "workflows", 0), ("services", 0, "extra_params"),
     ("services", 0, "extra_params", "terms"), ("services", 0, "workflows", 0, "configs")],
)  # fmt: skip
def test_unknown_field_is_refused_everywhere(path):
    plain = stored(composite())
    place = plain
    for key in path:
        place = place[key]
    place["surprise"] = 1

    assert "surprise" in refused(plain)


@pytest.mark.parametrize(
    ("field", "value"),
    [("type", "model"), ("endpoint", 7), ("supported_ops", "all"), ("child_dts", ["0x12"]),
     ("supported_ops", [OP.upper()]), ("extra_params", {"terms": {"max_rounds": "5"}}),
     ("extra_params", {"terms": {"max_rounds": True}}), ("extra_params", {"price": 3})],
)  # fmt: skip
def test_wrong_types_are_refused(field, value):
    plain = stored(leaf())
    plain["services"][0][field] = value

    assert refused(plain).startswith("The DDO is not valid: services.0.")


@pytest.mark.parametrize(
    "content",
    [b"", b"[]", b"{", b"\xff\xfe", b"null", b"[" * 100_000, b'{"dt":NaN}', b'{"dt":1,"dt":1}'],
)
def test_malformed_ddo_is_one_clear_sentence(content):
    with pytest.raises(BadInputError) as caught:
        parse_ddo(content)
    assert caught.value.message.startswith("The DDO ")


def test_oversized_ddo_is_refused_before_it_is_parsed():
    with pytest.raises(BadInputError, match=r"262144 are allowed"):
        parse_ddo(b" " * (256 * 1024 + 1))


def test_two_byte_strings_never_mean_the_same_document():
    content = ddo_bytes(make_ddo(leaf(), 31337, REGISTRY, OWNER))
    loose = json.dumps(json.loads(content)).encode()

    assert parse_ddo(content)
    with pytest.raises(BadInputError, match="canonical form"):
        parse_ddo(loose)


def test_any_change_of_the_metadata_changes_the_proof():
    """Acceptance: 21."""
    base = leaf()
    changed = [
        leaf(endpoint="https://b.example"),
        leaf(type="compute"),
        leaf(supported_ops=[OP, OTHER_OP]),
        leaf(extra_params=ExtraParams(name="x")),
        leaf(extra_params=ExtraParams(terms=Terms(max_rounds=1))),
    ]
    assert len({proof_of(m) for m in [base, *changed]}) == len(changed) + 1


def test_squatted_id():
    """A DT is bound to its owner, chain and registry: nobody can mint it first."""
    mine = make_ddo(leaf(), 31337, REGISTRY, OWNER)

    assert mine.dt != make_ddo(leaf(), 31337, REGISTRY, "0x" + "3" * 40).dt
    assert mine.dt != make_ddo(leaf(), 1, REGISTRY, OWNER).dt
    assert mine.dt != make_ddo(leaf(), 31337, OWNER, OWNER).dt
    assert mine.dt != make_ddo(leaf(), 31337, REGISTRY, OWNER, salt=1).dt


@given(st.data())
def test_documents_survive_the_way_through_bytes(data):
    """Property: parse(bytes(ddo)) = ddo, and bytes(parse(bytes)) = bytes."""
    text = st.text(max_size=20)
    scalar = st.one_of(
        st.booleans(),
        st.integers(-(2**53) + 1, 2**53 - 1),
        st.floats(-(2**52), 2**52),
        text,
    )
    terms = Terms(
        purposes=data.draw(st.lists(st.text(min_size=1, max_size=9), max_size=3)),
        max_rounds=data.draw(st.none() | st.integers(0, 2**32 - 1)),
        parameters=data.draw(
            st.dictionaries(
                st.from_regex(r"[A-Za-z][\w.\-]{0,9}", fullmatch=True).filter(str.isascii),
                st.builds(Constraint, const=scalar),
                max_size=3,
            )
        ),
        max_messages=data.draw(st.dictionaries(st.sampled_from(MessageKind), st.integers(0, 9))),
    )
    ddo = make_ddo(leaf(extra_params=ExtraParams(terms=terms)), 31337, REGISTRY, OWNER)

    content = ddo_bytes(ddo)
    again = parse_ddo(content)

    assert isinstance(again, Ddo)
    assert ddo_bytes(again) == content
    assert proof_of(again) == ddo.proof


@pytest.mark.parametrize(
    ("constraint", "good", "bad"),
    [
        (Constraint(type="int"), [0, -1], [True, 1.0, "1"]),
        (Constraint(type="float"), [0, 0.5], [True, "1"]),
        (Constraint(type="bool"), [True], [1, "true"]),
        (Constraint(type="str", max_length=2), ["ab"], ["abc", 1]),
        (Constraint(const=1), [1, 1.0], [True, 2, "1"]),
        (Constraint(enum=["a", 2]), ["a", 2], ["b", True]),
        (Constraint(minimum=0, maximum=1), [0, 0.5, 1], [-1, 2, True, "0", float("nan")]),
        (Constraint(minimum=0), [1e300], [float("inf"), float("-inf")]),
    ],
)
def test_constraints(constraint, good, bad):
    """Terms: constants, enums, ranges, types on parameters."""
    assert [value for value in good if constraint.violation(value)] == []
    assert [value for value in bad if constraint.violation(value) is None] == []


def test_schema_is_closed_and_terms_are_open():
    constraints = {"lr": Constraint(maximum=1)}

    assert violations(constraints, {"lr": 2, "x": 1}, closed=False) == [
        "parameter 'lr': 2 is above 1"
    ]
    assert len(violations(constraints, {"lr": 2, "x": 1}, closed=True)) == 2


@pytest.mark.parametrize(
    ("children", "flows", "why"),
    [
        (["1", "1"], [{"0": "self", "1": "self"}], "names a DT twice"),
        (["1"], [], "workflows is empty"),
        (["1"], [{"0": "self", "self": "self"}], "self can't run self"),
        (["1"], [{"0": "self", "1": "self"}], "names child 1 of 1"),
        (["1", "2"], [{"0": "self"}], "no operation to child 1"),
    ],
)
def test_workflows_that_contradict_the_children(children, flows, why):
    """Acceptance: 26, 27, 32."""
    with pytest.raises(ValueError, match=why):
        Service(
            type="data",
            endpoint="e",
            child_dts=["0x" + child * 64 for child in children],
            workflows=[Workflow(set_ops=[flow]) for flow in flows],
        )
