"""Granting: only the owner, only within the terms, and only after seeing what is asked."""

import time

import pytest

from datatoken.chain import errors
from datatoken.errors import BadInputError
from datatoken.roles import (
    AgreementError,
    AlgorithmProvider,
    AssetOwner,
    DataProvider,
)
from tests.support.chain import fresh
from tests.support.world import RECORDER, World, bundle_of, composed, leaf


def test_only_the_lower_owner_grants(world: World) -> None:
    """Acceptance: 41"""
    made = world.two_banks_of_users(1)
    stranger = world.user(1)
    with pytest.raises(errors.NotTokenOwner):
        stranger.grant(made.data[0], made.composite)
    with pytest.raises(errors.NotTokenOwner):
        made.a.grant(made.data[0], made.composite)
    assert not made.a.site.reader.grant(made.composite, made.data[0]).active
    world.user(0).grant(made.data[0], made.composite)
    assert made.a.site.reader.grant(made.composite, made.data[0]).active
    with pytest.raises(errors.NotTokenOwner):
        stranger.revoke(made.data[0], made.composite)


def test_owner_sees_who_how_and_why_before_granting(world: World) -> None:
    """Acceptance: 42, 73, 74"""
    # Prepare
    edge = world.operation(
        name="EdgeComp",
        code="def train(): ...\n",
        parameters={"lr": {"type": "float"}, "epochs": {"type": "int"}},
    )
    terms = {"max_rounds": 7, "expiry": int(time.time()) + 999, "purposes": ["research"]}
    user = world.user(0)
    child = user.publish(leaf(edge, name="My ECG", **terms)).dt
    parent = world.role(DataProvider, world.chain.a).publish(
        composed([child], [{"0": edge}], parameters={edge: {"lr": 0.1}})
    )
    # Execute
    found = user.review(child, parent.dt)
    # Assert: who, why, how, how often, what leaves
    assert (found.requester, found.requester_name) == (world.chain.a.address, "Institution A")
    assert found.purpose == "research"
    code = found.codes[0]
    assert (code.document.name, code.fixed) == ("EdgeComp", {"lr": 0.1})
    assert code.files == {"op/__init__.py": "def train(): ...\n"}
    assert code.seen is None and not code.retired
    assert found.terms.max_rounds == 7 and found.terms.expiry == terms["expiry"]
    assert found.reveals == [("model weights", "the composite's owner")]
    assert found.recorder is not None and found.recorder.account == RECORDER
    assert found.violations == ()
    assert not found.standing.active


def test_review_shows_what_changed_in_the_code(world: World) -> None:
    """Acceptance: 42. Threat: swapped bundle after approval."""
    # Prepare: the owner grants one version; another composite asks with changed code
    before = world.operation(name="EdgeComp", code="def train():\n    return weights\n")
    after = world.operation(name="EdgeComp", code="def train():\n    return rows\n")
    user, owner = world.user(0), world.role(DataProvider, world.chain.a)
    child = user.publish(leaf(before, after)).dt
    first = owner.publish(composed([child], [{"0": before}])).dt
    second = owner.publish(composed([child], [{"0": after}])).dt
    user.grant(child, first)
    # Execute
    same, changed = user.review(child, first).codes[0], user.review(child, second).codes[0]
    # Assert
    assert same.seen == same.document.bundle and same.diff == ""
    assert changed.seen == same.document.bundle
    assert "-    return weights" in changed.diff and "+    return rows" in changed.diff


def test_review_follows_self_to_the_childs_own_workflow(world: World) -> None:
    """Acceptance: 35, 72, 74"""
    made = world.two_banks_of_users(1)
    found = made.a.review(made.composite, made.algorithm)
    assert [code.operation for code in found.codes] == [made.average]
    assert found.violations == ()


def test_every_violation_is_listed_and_nothing_is_granted(world: World) -> None:
    """Acceptance: 42. Threat: parameters outside terms."""
    # Prepare
    allowed, other = world.operation(parameters={"lr": {"type": "float"}}), world.operation()
    user = world.user(0)
    accepted = world.chain.b.address
    child = user.publish(
        leaf(
            allowed,
            purposes=["care"],
            parameters={"lr": {"maximum": 0.1}},
            guarantors=[accepted],
            expiry=int(time.time()) - 5,
        )
    ).dt
    parent = world.role(DataProvider, world.chain.a).publish(
        composed(
            [child],
            [{"0": allowed}, {"0": other}],
            parameters={allowed: {"lr": 0.5}},
            terms={"guarantors": [world.chain.a.address]},
        )
    )
    # Execute
    with pytest.raises(AgreementError) as caught:
        user.grant(child, parent.dt)
    # Assert
    fields = {violation.field for violation in caught.value.violations}
    assert fields == {"supported_ops", "parameters", "purpose", "expiry", "guarantors"}
    assert all(v.why in caught.value.message for v in caught.value.violations)
    assert not user.site.reader.grant(parent.dt, child).active


def test_grant_to_a_non_parent_is_refused(world: World) -> None:
    """Threat: grant to a non-parent."""
    made, stranger = world.two_banks_of_users(1), world.two_banks_of_users(1)
    with pytest.raises(AgreementError, match="does not name this child"):
        world.user(0).grant(made.data[0], stranger.composite)
    with pytest.raises(AgreementError, match="does not name this child"):
        world.user(0).grant(made.data[0], made.algorithm)
    with pytest.raises(BadInputError, match="no DT"):
        world.user(0).grant(made.data[0], fresh())
    assert not made.a.site.reader.grant(stranger.composite, made.data[0]).active


def test_retired_operation_is_not_granted(world: World) -> None:
    """Threat: retired operation."""
    made = world.two_banks_of_users(1)
    world.administrator.retire_operation(made.edge)
    with pytest.raises(AgreementError, match="not registered"):
        world.user(0).grant(made.data[0], made.composite)


def test_repeating_a_grant_changes_nothing(world: World) -> None:
    made, user = world.two_banks_of_users(1), world.user(0)
    expiry = int(time.time()) + 1000
    first = user.grant(made.data[0], made.composite, expiry=expiry, max_rounds=5)
    again = user.grant(made.data[0], made.composite, expiry=expiry, max_rounds=5)
    assert first == again
    assert (again.active, again.expiry, again.max_rounds, again.epoch) == (True, expiry, 5, 0)
    # Other limits are another grant
    tighter = user.grant(made.data[0], made.composite, max_rounds=2)
    assert (tighter.max_rounds, tighter.expiry, tighter.epoch) == (2, 0, 1)


def test_an_expiry_in_the_past_is_refused(world: World) -> None:
    made = world.two_banks_of_users(1)
    with pytest.raises(BadInputError, match="lies in the past"):
        world.user(0).grant(made.data[0], made.composite, expiry=int(time.time()) - 10)


def test_revoking_is_safe_to_repeat_and_can_be_undone(world: World) -> None:
    # Prepare
    made, user = world.two_banks_of_users(1), world.user(0)
    user.grant(made.data[0], made.composite)
    # Execute
    user.revoke(made.data[0], made.composite)
    user.revoke(made.data[0], made.composite)
    # Assert
    reader = user.site.reader
    assert not reader.grant(made.composite, made.data[0]).active
    assert user.grant(made.data[0], made.composite).active


def test_many_grants_succeed_together_or_not_at_all(world: World) -> None:
    # Prepare: four own DTs; the terms of two forbid the purpose
    bank = world.role(AssetOwner, world.chain.a)
    share = world.operation()
    good = [bank.publish(leaf(share, name=f"good {i}")).dt for i in range(2)]
    bad = [bank.publish(leaf(share, name=f"bad {i}", purposes=["audit"])).dt for i in range(2)]
    provider = world.role(AlgorithmProvider, world.chain.b)
    mixed = provider.publish(
        composed([*good, *bad], [{str(i): share for i in range(4)}], type="algorithm")
    ).dt
    sound = provider.publish(composed(good, [{"0": share, "1": share}], type="algorithm")).dt
    # Execute
    with pytest.raises(AgreementError) as caught:
        bank.grant_many([*good, *bad], mixed)
    bank.grant_many(good, sound)
    bank.grant_many(good, sound)
    # Assert
    reader = bank.site.reader
    assert {violation.child for violation in caught.value.violations} == set(bad)
    assert not any(reader.grant(mixed, dt).active for dt in [*good, *bad])
    assert all(reader.grant(sound, dt).active for dt in good)


def test_a_bundle_that_is_no_archive_is_shown_as_it_is() -> None:
    from datatoken.roles.code import code_diff, source_files

    assert source_files(b"print(1)\n") == {"bundle": "print(1)\n"}
    assert source_files(b"\xff\xfe") == {"bundle": "(not text: 2 bytes)"}
    files = source_files(bundle_of({"b.py": "x\n", "a.py": "y\n"}))
    assert files == {"a.py": "y\n", "b.py": "x\n"}
    assert code_diff(files, files) == ""
    assert code_diff({}, {"a.py": "y"}).splitlines()[:2] == ["--- /dev/null", "+++ now/a.py"]
