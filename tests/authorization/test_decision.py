"""The decision, step by step; each test is named after the attack it stops."""

from dataclasses import replace

import pytest

from datatoken.authorization import Reason, Refused, authorize, verify_tree
from datatoken.authorization.view import Grant, History, LogState
from datatoken.ddo import Constraint, Terms, Workflow
from datatoken.types import ZERO32, JobStatus, MessageKind, sha256_hex
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    EDGECOMP,
    FEDAVERAGE,
    NETWORK,
    NOW,
    RUN,
    World,
    ask,
    group,
    operation,
    record_of,
    service,
    with_grant,
    with_job,
    with_state,
)


def refused(view, asked) -> Reason:
    """Authorize, expect a refusal, return its reason."""
    with pytest.raises(Refused) as caught:
        authorize(view, asked)
    assert caught.value.message, "a refusal says why"
    assert caught.value.hint, "a refusal says what to do"
    return caught.value.reason


@pytest.fixture
def world() -> World:
    return World()


def test_honest_message_gets_a_lease_for_itself(world):
    """Acceptance: 43, 79, 81."""
    lease = authorize(world.view(), ask(world))

    assert lease.operation == EDGE_ID
    assert lease.path == (world.dt("u0"), world.dt("maker"), world.dt("fintech"))
    assert lease.edges == (
        (world.dt("maker"), world.dt("u0"), 0, MessageKind.TRAIN),
        (world.dt("fintech"), world.dt("maker"), 0, MessageKind.TRAIN),
    )
    assert lease.sequence == 1


def test_self_operation_runs_at_the_composites_owner(world):
    """Acceptance: 36, 71, 72."""
    lease = authorize(world.view(), ask(world, "maker", bundle=FEDAVERAGE.bundle))

    assert lease.operation == AVERAGE_ID


# (0) the view


def test_frozen_view(world):
    """Acceptance: 111."""
    assert refused(with_state(world.view(), time=NOW - 121), ask(world)) is Reason.STALE_VIEW


def test_view_from_the_future(world):
    assert refused(with_state(world.view(), time=NOW + 121), ask(world)) is Reason.STALE_VIEW


def test_rolled_back_view(world):
    """Acceptance: 111."""
    view = replace(world.view(), history=History(last_block=101))

    assert refused(view, ask(world)) is Reason.ROLLED_BACK_VIEW


def test_view_of_another_chain(world):
    assert refused(with_state(world.view(), chain_id=1), ask(world)) is Reason.WRONG_CHAIN


# (1) job


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (JobStatus.NONE, Reason.JOB_UNKNOWN),
        (JobStatus.PAUSED, Reason.JOB_NOT_OPEN),
        (JobStatus.CLOSED, Reason.JOB_NOT_OPEN),
    ],
)
def test_unposted_or_stopped_job(world, status, reason):
    """Acceptance: 44, 46."""
    assert refused(with_job(world.view(), status=status), ask(world)) is reason


def test_closed_task(world):
    """A closed task stops its jobs at the gates, too."""
    assert refused(with_job(world.view(), task_open=False), ask(world)) is Reason.TASK_NOT_OPEN


def test_guarantor_removed_after_posting(world):
    """Acceptance: 8, 47."""
    view = with_job(world.view(), guarantor_registered=False)

    assert refused(view, ask(world)) is Reason.GUARANTOR_NOT_REGISTERED


def test_guarantor_that_the_terms_do_not_accept():
    world = World(leaf_terms=Terms(guarantors=["0x" + "5" * 40]))

    assert refused(world.view(), ask(world)) is Reason.GUARANTOR_NOT_ACCEPTED


def test_job_posted_with_a_recorder_of_the_requesters(world):
    view = with_job(world.view(), recorder="0x" + "6" * 40)

    assert refused(view, ask(world)) is Reason.RECORDER_MISMATCH


def test_composite_that_has_not_announced(world):
    """Acceptance: 77."""
    view = with_state(world.view(), announcements={world.dt("maker"): ZERO32})

    assert refused(view, ask(world)) is Reason.NOT_ANNOUNCED


def test_composite_itself_needs_no_announcement(world):
    view = with_state(world.view(), announcements={})

    assert authorize(view, ask(world, "maker", bundle=FEDAVERAGE.bundle))


# (2) documents


@pytest.mark.parametrize("field", ["proof", "ddo", "salt", "owner", "kind", "children"])
def test_forged_ddo(world, field):
    """Acceptance: 21, 104."""
    records = world.records()
    other = {"proof": ZERO32, "ddo": ZERO32, "salt": 7, "owner": "0x" + "1" * 40}
    honest = records[world.dt("maker")]
    forged = replace(honest, **{field: other.get(field, 3)})

    with pytest.raises(Refused) as caught:
        verify_tree(
            world.dt("fintech"),
            world.contents(),
            records | {world.dt("maker"): forged},
            NETWORK,
        )

    assert caught.value.reason is Reason.DOCUMENT_MISMATCH


def test_ddo_of_another_dt(world):
    contents = world.contents() | {world.dt("maker"): world.contents()[world.dt("u0")]}

    with pytest.raises(Refused) as caught:
        verify_tree(world.dt("fintech"), contents, world.records(), NETWORK)

    assert caught.value.reason is Reason.DOCUMENT_MISMATCH


def test_missing_composite_document(world):
    contents = world.contents()
    del contents[world.dt("maker")]

    with pytest.raises(Refused) as caught:
        verify_tree(world.dt("fintech"), contents, world.records(), NETWORK)

    assert caught.value.reason is Reason.DOCUMENT_MISSING


def test_documents_of_another_algorithm(world):
    view = with_job(world.view(), algorithm=world.dt("maker"))

    assert refused(view, ask(world)) is Reason.DOCUMENT_MISMATCH


# (3) grants


def test_grant_missing(world):
    """Acceptance: 45, 81."""
    view = with_grant(world.view(), world.dt("maker"), world.dt("u0"), Grant())

    assert refused(view, ask(world)) is Reason.GRANT_MISSING


def test_revoked_mid_run(world):
    """Acceptance: 105."""
    view = with_grant(world.view(), world.dt("maker"), world.dt("u0"), Grant(epoch=1))

    assert refused(view, ask(world)) is Reason.GRANT_REVOKED


def test_composite_revoked_mid_run(world):
    view = with_grant(world.view(), world.dt("fintech"), world.dt("maker"), Grant(epoch=1))

    assert refused(view, ask(world)) is Reason.GRANT_REVOKED


@pytest.mark.parametrize("late", ["chain", "own clock"])
def test_expired_mid_run_by_the_later_of_two_clocks(world, late):
    """Acceptance: 105."""
    grant = Grant(expiry=NOW + 10, active=True)
    view = with_grant(world.view(), world.dt("maker"), world.dt("u0"), grant)
    assert authorize(view, ask(world))

    if late == "chain":
        assert refused(with_state(view, time=NOW + 10), ask(world)) is Reason.GRANT_EXPIRED
    else:
        assert refused(view, ask(world, now=NOW + 10)) is Reason.GRANT_EXPIRED


def test_one_owners_revocation_stops_all_by_default(world):
    """Acceptance: 105."""
    view = with_grant(world.view(), world.dt("maker"), world.dt("u1"), Grant(epoch=1))

    assert refused(view, ask(world)) is Reason.TOO_FEW_PARTICIPANTS


def test_one_owners_revocation_does_not_stop_others_above_the_minimum():
    """Acceptance: 105."""
    world = World(composite_terms=Terms(min_participants=3))
    view = with_grant(world.view(), world.dt("maker"), world.dt("u1"), Grant(epoch=1))

    assert authorize(view, ask(world))
    second = with_grant(view, world.dt("maker"), world.dt("u2"), Grant(epoch=1))
    assert refused(second, ask(world)) is Reason.TOO_FEW_PARTICIPANTS


def test_leaf_may_ask_for_more_participants_than_the_composite():
    world = World(composite_terms=Terms(min_participants=2), leaf_terms=Terms(min_participants=4))
    view = with_grant(world.view(), world.dt("maker"), world.dt("u1"), Grant(epoch=1))

    assert refused(view, ask(world)) is Reason.TOO_FEW_PARTICIPANTS


def test_mpc_needs_all_whatever_the_terms_say():
    world = World(composite_terms=Terms(min_participants=1))
    view = with_grant(world.view(), world.dt("maker"), world.dt("u1"), Grant(epoch=1))

    assert refused(view, ask(world, all_required=True)) is Reason.TOO_FEW_PARTICIPANTS


def test_owner_removed_from_the_registry(world):
    records = world.records()
    records[world.dt("u0")] = replace(records[world.dt("u0")], owner_active=False)

    assert refused(with_state(world.view(), records=records), ask(world)) is Reason.OWNER_REMOVED


def test_asset_outside_the_job(world):
    stranger = World(leaf_terms=Terms(max_rounds=1))

    outside = replace(ask(world), asset=stranger.dt("u0"))
    assert refused(world.view(), outside) is Reason.NOT_IN_JOB


# (4) the operation


def test_swapped_bundle_after_approval(world):
    """Acceptance: 17, 102, 103."""
    assert refused(world.view(), ask(world, bundle=ZERO32)) is Reason.OPERATION_MISMATCH


def test_operation_that_the_owner_does_not_support():
    """Acceptance: 29."""
    world = World()
    leaf = service("data", supported_ops=[AVERAGE_ID])
    world.add("u0", leaf)
    honest = World()
    view = honest.view()
    tree = replace(view.tree, ddos={**view.tree.ddos, honest.dt("u0"): world.ddos["u0"]})

    assert refused(replace(view, tree=tree), ask(honest)) is Reason.OPERATION_UNSUPPORTED


def test_retired_operation(world):
    """Acceptance: 28."""
    view = world.view()
    operations = {**view.state.operations, EDGE_ID: record_of(EDGECOMP, retired=True)}

    assert refused(with_state(view, operations=operations), ask(world)) is Reason.OPERATION_RETIRED


def test_retired_server_operation(world):
    view = world.view()
    operations = {**view.state.operations, AVERAGE_ID: record_of(FEDAVERAGE, retired=True)}

    assert refused(with_state(view, operations=operations), ask(world)) is Reason.OPERATION_RETIRED


def test_forged_operation_document(world):
    """A document that allows more than the registered one does not hash to the record."""
    view = world.view()
    laxer = operation("edgecomp", "client", parameters={}, lock={})
    view = replace(view, operations={**view.operations, EDGE_ID: laxer})

    assert refused(view, ask(world)) is Reason.DOCUMENT_MISMATCH


def test_message_kind_that_the_operation_does_not_answer(world):
    asked = ask(world, kind=MessageKind.QUERY)

    assert refused(world.view(), asked) is Reason.MESSAGE_KIND_NOT_ANSWERED


@pytest.mark.parametrize("installed", [{}, {"numpy": "2.0.1"}])
def test_dependency_that_is_not_the_locked_one(world, installed):
    """Acceptance: 103."""
    assert refused(world.view(), ask(world, installed=installed)) is Reason.LOCK_MISMATCH


# (5) parameters and terms


def test_undeclared_parameter(world):
    asked = ask(world, parameters={"local-epochs": 1, "num-server-rounds": 5, "dump": True})

    assert refused(world.view(), asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_parameters_outside_the_schema(world):
    asked = ask(world, parameters={"local-epochs": 11, "num-server-rounds": 5})

    assert refused(world.view(), asked) is Reason.PARAMETERS_OUTSIDE_TERMS


@pytest.mark.parametrize("level", ["leaf_terms", "composite_terms"])
def test_parameters_outside_terms_at_any_level(level):
    world = World(**{level: Terms(parameters={"num-server-rounds": Constraint(maximum=4)})})

    assert refused(world.view(), ask(world)) is Reason.PARAMETERS_OUTSIDE_TERMS


@pytest.mark.parametrize("record", [{"server-round": 1, "beta": 2}, {"server-round": "1"}])
def test_parameters_hidden_in_a_messages_records(world, record):
    asked = ask(world, records={"config": record})

    assert refused(world.view(), asked) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_parameter_other_than_the_workflow_fixes():
    """Acceptance: 33."""
    world = World(composite_fixed={EDGE_ID: {"local-epochs": 2}})

    assert refused(world.view(), ask(world)) is Reason.PARAMETERS_OUTSIDE_TERMS


def test_purpose_that_the_owner_does_not_accept():
    """Acceptance: 42."""
    world = World(leaf_terms=Terms(purposes=["heart disease"]), purpose="advertising")

    assert refused(world.view(), ask(world)) is Reason.PURPOSE_NOT_ACCEPTED


def test_expired_terms():
    world = World(leaf_terms=Terms(expiry=NOW))

    assert refused(world.view(), ask(world)) is Reason.TERMS_EXPIRED


# (6) the compute request


@pytest.mark.parametrize("signer", ["maker", "u0"])
def test_request_signed_by_somebody_else(world, signer):
    """Acceptance: 112."""
    assert refused(world.view(world.request(signer)), ask(world)) is Reason.REQUEST_SIGNATURE


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"market": "0x" + "1" * 40},
        {"job": ZERO32},
        {"operation": ZERO32},
        {"parameters": ZERO32},
        {"audience": ZERO32},
    ],
)
def test_request_for_something_else(world, change):
    """Acceptance: 112."""
    assert refused(world.view(world.request(**change)), ask(world)) is Reason.REQUEST_MISMATCH


def test_request_past_its_deadline(world):
    """Acceptance: 112."""
    view = world.view(world.request(deadline=NOW))

    assert refused(view, ask(world)) is Reason.REQUEST_EXPIRED


def test_running_job_outlives_the_deadline_of_its_start(world):
    view = replace(world.view(world.request(deadline=NOW)), history=History(pinned_run=RUN))

    assert authorize(view, ask(world))


def test_replayed_request(world):
    """Acceptance: 112."""
    view = replace(world.view(), history=History(pinned_run="another run"))

    assert refused(view, ask(world)) is Reason.REQUEST_REPLAYED


def test_request_that_was_not_announced(world):
    """Acceptance: 77, 112."""
    view = replace(world.view(), request=world.request(nonce=2))

    assert refused(view, ask(world)) is Reason.REQUEST_MISMATCH


def test_no_request(world):
    assert refused(replace(world.view(), request=None), ask(world)) is Reason.REQUEST_MISSING


# (7) rounds


def counted(view, world, kind, count, epoch=0):
    """Return the view with `count` messages answered under u0's grant."""
    key = (world.dt("maker"), world.dt("u0"), epoch, kind)
    return replace(view, history=replace(view.history, counts={key: count}))


def test_rounds_reset_by_reposting_a_job(world):
    """The count is the grant's, not the job's. Acceptance: 105."""
    grant = Grant(max_rounds=3, active=True)
    view = with_grant(world.view(), world.dt("maker"), world.dt("u0"), grant)

    assert authorize(counted(view, world, MessageKind.TRAIN, 2), ask(world)).sequence == 3
    exhausted = counted(view, world, MessageKind.TRAIN, 3)
    assert refused(exhausted, ask(world)) is Reason.ROUNDS_EXHAUSTED


def test_evaluate_used_as_unlimited_oracle():
    world = World(leaf_terms=Terms(max_rounds=5, max_messages={MessageKind.EVALUATE: 2}))
    view = counted(world.view(), world, MessageKind.EVALUATE, 2)

    assert authorize(view, ask(world))
    asked = ask(world, kind=MessageKind.EVALUATE)
    assert refused(view, asked) is Reason.ROUNDS_EXHAUSTED


def test_evaluate_has_the_limit_of_rounds_where_none_is_set():
    world = World(leaf_terms=Terms(max_rounds=2))
    view = counted(world.view(), world, MessageKind.EVALUATE, 2)

    assert refused(view, ask(world, kind=MessageKind.EVALUATE)) is Reason.ROUNDS_EXHAUSTED


def test_tighter_of_grant_and_ddo_holds():
    world = World(leaf_terms=Terms(max_rounds=2))
    grant = Grant(max_rounds=9, active=True)
    view = with_grant(world.view(), world.dt("maker"), world.dt("u0"), grant)

    asked = ask(world)
    assert refused(counted(view, world, MessageKind.TRAIN, 2), asked) is Reason.ROUNDS_EXHAUSTED


def logged(view, *groups, included=frozenset(), receipts=frozenset(), acknowledged=frozenset()):
    """Return the view with these rounds in the verified log, and these own receipts."""
    head = "0x" + "7" * 56
    view = with_state(view, head=head, round=len(groups))
    log = LogState(head, len(groups), tuple(groups), frozenset(included))
    history = replace(
        view.history, receipts=frozenset(receipts), acknowledged=frozenset(acknowledged)
    )
    return replace(view, log=log, history=history)


RECEIPTS = [sha256_hex(bytes([i])) for i in range(3)]


def test_recorder_that_hides_the_newest_round(world):
    view = replace(logged(world.view(), group(world.view(), set())), log=LogState())

    assert refused(view, ask(world)) is Reason.RECORDER_BEHIND


def test_log_omission_by_the_recorder(world):
    """Acceptance: 107."""
    view = logged(world.view(), receipts=RECEIPTS[:2], acknowledged=RECEIPTS[:2])

    assert refused(view, ask(world)) is Reason.RECORDER_OMISSION


def test_recorder_that_never_acknowledges(world):
    view = logged(world.view(), receipts=RECEIPTS[:2])

    assert refused(view, ask(world)) is Reason.RECORDER_BEHIND


def test_one_receipt_may_be_on_its_way(world):
    view = logged(world.view(), receipts=RECEIPTS, acknowledged=RECEIPTS, included=RECEIPTS[:2])

    assert authorize(view, ask(world))


def everyone(world) -> set[str]:
    return {world.dt(f"u{i}") for i in range(4)}


def test_one_victim_sampled_alone(world):
    """The next message after a round of one is refused."""
    view = world.view()
    view = logged(view, group(view, {world.dt("u0")}))

    assert refused(view, ask(world)) is Reason.ROUND_TOO_SMALL


def test_member_that_invents_rounds_of_one_does_not_stall_the_rest(world):
    """One participant stalling the rest."""
    view = world.view()
    view = logged(view, group(view, everyone(world)), group(view, {world.dt("u1")}))

    assert authorize(view, ask(world))


def test_strangers_do_not_count_as_members(world):
    view = world.view()
    strangers = {sha256_hex(bytes([i, 1])) for i in range(3)} | {world.dt("u0")}
    view = logged(view, group(view, strangers))

    assert refused(view, ask(world)) is Reason.ROUND_TOO_SMALL


def test_full_round_goes_on(world):
    view = world.view()

    assert authorize(logged(view, group(view, everyone(world))), ask(world))


def test_round_cut_short_by_a_dead_chain_is_tolerated_once(world):
    """Acceptance: 105."""
    view = world.view()
    full = group(view, everyone(world), run="old", request=ZERO32)
    short = group(view, {world.dt("u0")}, run="old", request=ZERO32)

    assert authorize(logged(view, full, short), ask(world))
    assert refused(logged(view, full, short, short), ask(world)) is Reason.ROUND_TOO_SMALL


# all positions


def two_positions(strict_terms: Terms) -> tuple[World, object]:
    """Return a world where u0 stands below the maker and below a composite of u3's."""
    world = World(composite_terms=strict_terms)
    maker = world.ddos["maker"]
    lax = world.add(
        "u3",
        service(
            "data",
            child_dts=[world.dt("u0")],
            workflows=[Workflow(set_ops=[{"0": EDGE_ID}])],
            extra_params=maker.service.extra_params.model_copy(update={"terms": Terms()}),
        ),
    )
    world.add(
        "fintech",
        service(
            "algorithm",
            child_dts=[lax.dt, maker.dt],
            workflows=[Workflow(set_ops=[{"0": "self", "1": "self", "self": AVERAGE_ID}])],
        ),
    )
    return world, lax


@pytest.mark.parametrize("strict", [True, False])
def test_laxer_position_of_the_same_asset(strict):
    """An asset in two composites: both must allow what runs, the stricter one decides."""
    terms = {"local-epochs": Constraint(maximum=0 if strict else 1)}
    world, lax = two_positions(Terms(parameters=terms, min_participants=1))
    records = world.records()
    others = [dt for dt in world.ddos["maker"].children if dt not in records]
    records |= {dt: replace(records[world.dt("u0")], owner="0x" + "1" * 40) for dt in others}
    tree = verify_tree(world.dt("fintech"), world.contents(), records, NETWORK)
    request = world.request(audience=world.dt("fintech"))
    honest = World().view(request)
    view = with_state(
        replace(honest, tree=tree, request=request),
        job=replace(honest.state.job, algorithm=world.dt("fintech")),
        records=records,
        grants={edge: Grant(active=True) for edge in tree.edges()},
        announcements={world.dt("maker"): request.digest(), lax.dt: request.digest()},
    )

    if strict:
        assert refused(view, ask(world)) is Reason.PARAMETERS_OUTSIDE_TERMS
    else:
        assert len(authorize(view, ask(world)).edges) == 4
