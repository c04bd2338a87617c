"""A composite's or an algorithm's owner who writes the documents, against one asset's owner."""

from dataclasses import replace

import pytest

from datatoken.authorization import (
    Reason,
    Refused,
    View,
    authorize,
    parameters_digest,
    verify_tree,
)
from datatoken.authorization.tree import MAX_ASSIGNMENTS, verify_ddo
from datatoken.authorization.view import Grant, Record
from datatoken.ddo import Configs, ExtraParams, OperationDocument, ParameterSpec, Terms, Workflow
from datatoken.ddo.operation import ReplyPolicy
from datatoken.types import sha256_hex
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    EDGECOMP,
    NETWORK,
    PARAMETERS,
    World,
    ask,
    operation,
    record_of,
    service,
    with_grant,
    with_state,
)

OTHER = operation("other", "client")
OTHER_ID = sha256_hex(b"other id")


def refused(view: View, asked: object) -> Reason:
    with pytest.raises(Refused) as caught:
        authorize(view, asked)  # type: ignore[arg-type]
    assert caught.value.message
    return caught.value.reason


def composed(
    leaf_ops: list[str], maker_ops: list[str], flows: list[Workflow], top: str = "self"
) -> World:
    """Return a world of one user with other operations and workflows."""
    world = World(users=1)
    extra = world.ddos["maker"].service.extra_params
    world.add("u0", service("data", supported_ops=leaf_ops))
    world.add(
        "maker",
        service(
            "data",
            child_dts=[world.dt("u0")],
            supported_ops=maker_ops,
            workflows=flows,
            extra_params=extra,
        ),
    )
    flow = Workflow(set_ops=[{"0": top}])
    world.add(
        "fintech",
        service(
            "algorithm",
            child_dts=[world.dt("maker")],
            workflows=[flow],
            extra_params=ExtraParams(purpose="heart disease"),
        ),
    )
    return world


def knowing(view: View, **documents: OperationDocument) -> View:
    """Return the view with more registered operations, by what is hashed to their id."""
    found = {sha256_hex(name.replace("_", " ").encode()): d for name, d in documents.items()}
    view = with_state(
        view, operations={**view.state.operations, **{i: record_of(d) for i, d in found.items()}}
    )
    return replace(view, operations={**view.operations, **found})


@pytest.mark.parametrize("offered", [False, True])
def test_operation_given_over_the_head_of_a_composite(offered: bool) -> None:
    """An algorithm replaces what the composite's workflow runs; its owner has to offer that.

    Acceptance: 30, 102
    """
    flow = Workflow(set_ops=[{"0": EDGE_ID, "self": AVERAGE_ID}])
    maker_ops = [EDGE_ID, OTHER_ID] if offered else [EDGE_ID]
    world = composed([EDGE_ID, OTHER_ID], maker_ops, [flow], top=OTHER_ID)
    view = knowing(world.view(), other_id=OTHER)
    asked = ask(world, bundle=OTHER.bundle)

    if offered:
        assert authorize(view, asked).operation == OTHER_ID
    else:
        assert refused(view, asked) is Reason.OPERATION_UNSUPPORTED


@pytest.mark.parametrize("lax_first", [False, True])
def test_laxer_reply_policy_of_the_same_bytes(lax_first: bool) -> None:
    """Two operations with one bundle: nobody picks the one that lets more leave."""
    lax = EDGECOMP.model_copy(update={"replies": ReplyPolicy(max_scalars=1024)})
    flows = [Workflow(set_ops=[{"0": op, "self": AVERAGE_ID}]) for op in (EDGE_ID, OTHER_ID)]
    if lax_first:
        flows.reverse()
    world = composed([EDGE_ID, OTHER_ID], [EDGE_ID, OTHER_ID], flows)

    view = knowing(world.view(), other_id=lax)

    assert refused(view, ask(world)) is Reason.OPERATION_MISMATCH


def test_same_bytes_twice_with_one_reply_policy_are_allowed() -> None:
    other = EDGECOMP.model_copy(update={"description": "the same, described anew"})
    flows = [Workflow(set_ops=[{"0": op, "self": AVERAGE_ID}]) for op in (EDGE_ID, OTHER_ID)]
    world = composed([EDGE_ID, OTHER_ID], [EDGE_ID, OTHER_ID], flows)

    assert authorize(knowing(world.view(), other_id=other), ask(world))


def test_mpc_needs_all_without_anybody_saying_so() -> None:
    """The operation's kind on the chain says it; min_participants is 1."""
    world = World(composite_terms=Terms(min_participants=1))
    mpc = EDGECOMP.model_copy(update={"kind": "mpc"})
    view = knowing(world.view(), edgecomp_id=mpc)
    assert authorize(view, ask(world))

    view = with_grant(view, world.dt("maker"), world.dt("u3"), Grant(epoch=1))

    assert refused(view, ask(world)) is Reason.TOO_FEW_PARTICIPANTS


def test_fixed_parameter_loosened_in_a_messages_records() -> None:
    """Acceptance: 103."""
    world = World(composite_fixed={EDGE_ID: {"local-epochs": 1}})
    more = {"records": {**EDGECOMP.records, "local-epochs": ParameterSpec(type="int")}}
    view = knowing(world.view(), edgecomp_id=EDGECOMP.model_copy(update=more))

    assert authorize(view, ask(world, records={"config": {"local-epochs": 1}}))
    hidden = ask(world, records={"config": {"local-epochs": 10}})
    assert refused(view, hidden) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_record_that_only_the_servers_operation_declares() -> None:
    """Records are the receiver's: the server's schema opens nothing at the client.

    Acceptance: 103
    """
    world = World()
    view = world.view()
    server = view.operations[AVERAGE_ID]
    more = {"records": {**server.records, "backdoor": ParameterSpec()}}
    view = knowing(view, fedaverage_id=server.model_copy(update=more))

    hidden = ask(world, records={"config": {"backdoor": "open"}})

    assert refused(view, hidden) is Reason.PARAMETERS_OUTSIDE_TERMS


@pytest.mark.parametrize(
    "value", ["2**53", "-(2**60)", "10**400", "10**5000", "float('nan')", "float('inf')"]
)
def test_number_that_no_request_can_carry(value: str) -> None:
    """A number outside canonical JSON is refused, whatever the operation's schema lets in."""
    world = World()
    more = {"parameters": {**EDGECOMP.parameters, "seed": ParameterSpec()}}
    view = knowing(world.view(), edgecomp_id=EDGECOMP.model_copy(update=more))

    asked = ask(world, parameters={**PARAMETERS, "seed": eval(value)})

    assert refused(view, asked) is Reason.PARAMETERS_OUTSIDE_TERMS


@pytest.mark.parametrize("digits", [400, 5000])
def test_number_beyond_any_float_in_a_record(digits: int) -> None:
    world = World()
    value = -(10**digits)

    asked = ask(world, records={"config": {"server-round": value, "x" * 9: value}})

    assert refused(world.view(), asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_parameters_of_another_type_have_another_meaning() -> None:
    """1, 1.0 and True: canonical JSON has one form for the first two, the schema has not."""
    world = World()
    for value in (1.0, True, "1"):
        parameters = {**PARAMETERS, "local-epochs": value}
        view = world.view(world.request(parameters=parameters_digest(parameters)))
        asked = ask(world, parameters=parameters)
        assert refused(view, asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_workflows_that_multiply_without_end() -> None:
    """Five levels with 64 ways each: refused after a bounded amount of work, not a hang."""
    world = World(users=1)
    child = world.dt("u0")
    for level, owner in enumerate(("u1", "u2", "u3", "maker", "fintech")):
        flows = [
            Workflow(
                set_ops=[
                    {"0": "self"},
                    *({"self": sha256_hex(bytes([level, n, m]))} for m in range(4)),
                ],
                configs=Configs(parameters={EDGE_ID: {f"p{level}-{n}": n}}),
            )
            for n in range(16)
        ]
        kind = "algorithm" if owner == "fintech" else "data"
        child = world.add(owner, service(kind, child_dts=[child], workflows=flows)).dt
    tree = verify_tree(child, world.contents(), world.records(), NETWORK)

    with pytest.raises(Refused, match=f"more than {MAX_ASSIGNMENTS} operations"):
        tree.assignments(world.dt("u0"))


def nested(levels: int) -> World:
    """Return a world with `levels` composites between the user and the algorithm."""
    world = World(users=1)
    extra = world.ddos["maker"].service.extra_params
    child = world.dt("maker")
    for owner in ("u1", "u2", "u3")[: levels - 1]:
        flow = Workflow(set_ops=[{"0": "self"}])
        child = world.add(
            owner, service("data", child_dts=[child], workflows=[flow], extra_params=extra)
        ).dt
    flow = Workflow(set_ops=[{"0": "self"}])
    world.add("fintech", service("algorithm", child_dts=[child], workflows=[flow]))
    return world


@pytest.mark.parametrize("missing", [None, "maker", "u1", "u2", "u3"])
def test_every_composite_of_a_deep_tree_announces(missing: str | None) -> None:
    """Five levels; one owner on the way who has not announced stops it. Acceptance: 16."""
    world = nested(4)
    view = world.view()
    assert view.request is not None
    told = {world.dt(o): view.request.digest() for o in ("maker", "u1", "u2", "u3") if o != missing}
    view = with_state(view, announcements=told)

    if missing is None:
        assert len(authorize(view, ask(world)).edges) == 5
    else:
        assert refused(view, ask(world)) is Reason.NOT_ANNOUNCED


def test_tree_deeper_than_any_job() -> None:
    """The chain bounds depth too; a reader does not have to believe it."""
    world = World(users=1)
    child = world.dt("maker")
    flow = Workflow(set_ops=[{"0": "self"}])
    contents, records = world.contents(), world.records()
    for _ in range(9):
        child = world.add("u1", service("data", child_dts=[child], workflows=[flow])).dt
        contents, records = contents | world.contents(), records | world.records()
    world.add("fintech", service("algorithm", child_dts=[child], workflows=[flow]))

    with pytest.raises(Refused, match="too deep"):
        verify_tree(
            world.dt("fintech"), contents | world.contents(), records | world.records(), NETWORK
        )


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"salt": 2**32}, "salt"),
        ({"salt": 2**255}, "salt"),
        ({"kind": 7}, "type"),
        ({"children": 1}, "number of children"),
        ({"owner": "0x" + "0" * 40}, "There is no DT"),
        ({"owner": "0x" + "1" * 40}, "do not hash to the DT"),
        ({"proof": "0x" + "1" * 64}, "proof"),
    ],
)
def test_record_of_a_node_that_lies(change: dict[str, object], why: str) -> None:
    world = World()
    dt = world.dt("u0")
    record: Record = replace(world.records()[dt], **change)  # type: ignore[arg-type]

    with pytest.raises(Refused, match=why):
        verify_ddo(dt, world.contents()[dt], record, NETWORK)


def test_operation_record_of_a_kind_that_there_is_not() -> None:
    view = World().view()
    lied = replace(view.state.operations[EDGE_ID], kind=2**200)
    view = with_state(view, operations={**view.state.operations, EDGE_ID: lied})

    assert refused(view, ask(World())) is Reason.DOCUMENT_MISMATCH


def test_algorithm_that_is_none() -> None:
    world = World()

    with pytest.raises(Refused, match="is not an algorithm"):
        verify_tree(world.dt("maker"), world.contents(), world.records(), NETWORK)
    with pytest.raises(Refused, match="There is no DDO"):
        verify_tree(world.dt("maker"), {}, world.records(), NETWORK)
    with pytest.raises(Refused, match="There is no record"):
        verify_tree(world.dt("maker"), world.contents(), {}, NETWORK)


@pytest.mark.parametrize("signature", ["0x" + "00" * 65, "0x" + "ff" * 65])
def test_request_with_a_signature_that_is_none(signature: str) -> None:
    world = World()
    view = world.view(world.request().model_copy(update={"signature": signature}))

    assert refused(view, ask(world)) is Reason.REQUEST_SIGNATURE


def test_job_whose_documents_name_no_recorder() -> None:
    """Without a recorder nobody could tell how often the asset was used. Acceptance: 107."""
    world = World(users=1)
    flow = Workflow(set_ops=[{"0": EDGE_ID, "self": AVERAGE_ID}])
    world.add("maker", service("data", child_dts=[world.dt("u0")], workflows=[flow]))
    up = Workflow(set_ops=[{"0": "self"}])
    world.add("fintech", service("algorithm", child_dts=[world.dt("maker")], workflows=[up]))

    assert refused(world.view(), ask(world)) is Reason.RECORDER_MISMATCH


def test_member_whose_owner_was_removed_does_not_count_as_standing() -> None:
    world = World(composite_terms=Terms(min_participants=4))
    view = world.view()
    gone = replace(view.state.records[world.dt("u3")], owner_active=False)
    view = with_state(view, records={**view.state.records, world.dt("u3"): gone})

    assert refused(view, ask(world)) is Reason.TOO_FEW_PARTICIPANTS


def test_bytes_that_hash_to_the_record_and_are_no_ddo() -> None:
    """Anybody can mint a DT over any bytes."""
    world = World()
    dt = world.dt("u0")
    forged = world.contents()[world.dt("u1")]
    for content, why in (
        (b"{}", "not valid"),
        (b"\xff", "not JSON"),
        (b"[" * 200_000, "nested deeper"),
        (forged, "names another DT"),
    ):
        record = replace(world.records()[dt], ddo=sha256_hex(content))
        with pytest.raises(Refused, match=why):
            verify_ddo(dt, content, record, NETWORK)


def test_server_of_a_deep_tree_knows_the_operations_below_it() -> None:
    """A composite above a composite: the lower one's clients have a server of their own."""
    world = World(users=1)
    flow = Workflow(set_ops=[{"0": "self", "self": OTHER_ID}])
    top = world.add("u1", service("data", child_dts=[world.dt("maker")], workflows=[flow]))
    up = Workflow(set_ops=[{"0": "self"}])
    algorithm = world.add("fintech", service("algorithm", child_dts=[top.dt], workflows=[up]))
    tree = verify_tree(algorithm.dt, world.contents(), world.records(), NETWORK)

    (upper,), (lower,) = tree.assignments(top.dt), tree.assignments(world.dt("maker"))

    assert (upper.operation, tree.partners(upper)) == (OTHER_ID, [])
    assert (lower.operation, tree.partners(lower)) == (AVERAGE_ID, [EDGE_ID])
    assert tree.assignments(sha256_hex(b"a stranger")) == []
