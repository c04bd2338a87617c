"""Checkpoints: complete when all have signed the same, and only then."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datatoken.authorization.reasons import Reason, Refused
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import Hex32, MessageKind, sha256_hex
from rtt_tracer.agreement.checkpoints import (
    Checkpoint,
    check_agreed,
    check_finals,
    common_digest,
)
from rtt_tracer.control.messages import Final
from tests.support.mpc import NETWORK, NOW, MpcWorld
from tests.support.receipts import delegate

WORLD = MpcWorld()
PLAN = WORLD.plan()
AGREED = PLAN.agreed(WORLD.all(PLAN))
COMMITMENTS = {dt: sha256_hex(b"salted " + dt.encode()) for dt in PLAN.dts}
DIGEST = common_digest(AGREED, 3, COMMITMENTS)


def receipt(dt: Hex32, digest: Hex32 = DIGEST, **more: Any) -> SignedReceipt:
    fields = {"run": PLAN.run, "kind": PLAN.kind, "request": PLAN.request} | more
    return WORLD.nodes[dt].receipt(PLAN.job, digest, **fields)


RECEIPTS = {dt: receipt(dt) for dt in PLAN.dts}


def checkpoint() -> Checkpoint:
    return Checkpoint(PLAN, AGREED, 3, NETWORK)


def committed() -> Checkpoint:
    found = checkpoint()
    for dt, commitment in COMMITMENTS.items():
        found.commit(dt, commitment)
    return found


steps = list(itertools.product(("commit", "sign"), range(len(PLAN.dts))))


@settings(max_examples=25, deadline=None)
@given(st.permutations(steps), st.lists(st.sampled_from(steps), max_size=6))
def test_messages_in_any_order_and_more_than_once_lead_to_one_end(
    order: list[tuple[str, int]], again: list[tuple[str, int]]
) -> None:
    found = checkpoint()

    for step, number in (*order, *again):
        dt = PLAN.dts[number]
        if step == "commit":
            found.commit(dt, COMMITMENTS[dt])
        else:
            found.sign(dt, RECEIPTS[dt], NOW)

    assert (found.digest, found.complete) == (DIGEST, True)
    assert (found.uncommitted, found.unsigned) == ([], [])
    assert found.receipts == RECEIPTS


@settings(max_examples=25, deadline=None)
@given(st.permutations(steps), st.integers(0, len(steps) - 1))
def test_anything_missing_leaves_it_incomplete(order: list[tuple[str, int]], left_out: int) -> None:
    """A stage that one party did not finish is never logged."""
    found = checkpoint()

    for position, (step, number) in enumerate(order):
        dt = PLAN.dts[number]
        if position == left_out:
            continue
        if step == "commit":
            found.commit(dt, COMMITMENTS[dt])
        else:
            found.sign(dt, RECEIPTS[dt], NOW)

    assert not found.complete
    assert len(found.uncommitted) + len(found.unsigned) == 1


def refused(call: Any, *arguments: Any) -> Reason:
    with pytest.raises(Refused) as caught:
        call(*arguments)
    return caught.value.reason


def test_party_that_says_two_things_ends_the_run() -> None:
    dt, other = PLAN.dts[0], sha256_hex(b"other")
    found = committed()
    found.sign(dt, RECEIPTS[dt], NOW)

    assert refused(found.commit, dt, other) is Reason.CHECKPOINT_MISMATCH
    assert refused(found.sign, dt, receipt(dt), NOW) is Reason.CHECKPOINT_MISMATCH


def test_receipt_signed_for_another_party_is_refused() -> None:
    a, b = PLAN.dts[:2]

    assert refused(committed().sign, a, RECEIPTS[b], NOW) is Reason.CHECKPOINT_MISMATCH


@pytest.mark.parametrize(
    "change",
    [{"run": "0" * 32}, {"request": sha256_hex(b"other")}, {"kind": MessageKind.QUERY},
     {"digest": common_digest(AGREED, 2, COMMITMENTS)}],
    ids=["run", "request", "kind", "an earlier checkpoint"],
)  # fmt: skip
@pytest.mark.parametrize("early", [False, True])
def test_receipt_of_something_else_is_refused(change: dict[str, Any], early: bool) -> None:
    """Whether it comes after the last commitment or before it."""
    dt = PLAN.dts[0]
    wrong = receipt(dt, **change)
    if not early:
        assert refused(committed().sign, dt, wrong, NOW) is Reason.CHECKPOINT_MISMATCH
        return
    found = checkpoint()
    *most, last = PLAN.dts
    for other in most:
        found.commit(other, COMMITMENTS[other])
    found.sign(dt, wrong, NOW)

    assert refused(found.commit, last, COMMITMENTS[last]) is Reason.CHECKPOINT_MISMATCH
    assert not found.complete


def test_forged_receipts_are_refused() -> None:
    dt, other = PLAN.dts[:2]
    good = RECEIPTS[dt]
    wrong = [
        good.model_copy(update={"signature": RECEIPTS[other].signature}),
        good.model_copy(update={"delegation": WORLD.nodes[other].delegation}),
        WORLD.nodes[dt].receipt(sha256_hex(b"another job"), DIGEST),
    ]

    for signed in wrong:
        assert refused(committed().sign, dt, signed, NOW) is Reason.CHECKPOINT_MISMATCH


def test_delegation_that_has_expired_is_refused() -> None:
    dt = PLAN.dts[0]
    node = WORLD.nodes[dt]
    expired = delegate(WORLD._owners[dt], dt, node.key.address, NETWORK, NOW)
    signed = RECEIPTS[dt].model_copy(update={"delegation": expired})

    assert refused(committed().sign, dt, signed, NOW) is Reason.CHECKPOINT_MISMATCH


def test_stranger_has_no_say() -> None:
    stranger = sha256_hex(b"stranger")

    assert refused(checkpoint().commit, stranger, DIGEST) is Reason.NOT_IN_JOB
    assert refused(checkpoint().sign, stranger, RECEIPTS[PLAN.dts[0]], NOW) is Reason.NOT_IN_JOB


@given(st.integers(0, 2**31 - 1), st.sampled_from(PLAN.dts))
def test_common_digest_covers_agreement_number_and_every_commitment(number: int, dt: Hex32) -> None:
    other = sha256_hex(b"other")
    base = common_digest(AGREED, number, COMMITMENTS)

    assert common_digest(other, number, COMMITMENTS) != base
    assert common_digest(AGREED, number + 1, COMMITMENTS) != base
    assert common_digest(AGREED, number, COMMITMENTS | {dt: other}) != base


def test_peer_that_says_another_agreed_hash_is_refused() -> None:
    others = dict.fromkeys(PLAN.dts, AGREED)
    check_agreed(AGREED, others)

    assert refused(check_agreed, AGREED, others | {PLAN.dts[2]: DIGEST}) is (
        Reason.AGREEMENT_MISMATCH
    )


def test_success_is_what_all_final_words_agree_on() -> None:
    ends = {dt: Final(digest=DIGEST, checkpoints=3) for dt in PLAN.dts}
    check_finals(PLAN, ends)
    last = PLAN.dts[-1]

    assert refused(check_finals, PLAN, ends | {last: Final(digest=AGREED, checkpoints=3)}) is (
        Reason.CHECKPOINT_MISMATCH
    )
    assert refused(check_finals, PLAN, ends | {last: Final(digest=DIGEST, checkpoints=2)}) is (
        Reason.CHECKPOINT_MISMATCH
    )
    del ends[last]
    assert refused(check_finals, PLAN, ends) is Reason.PARTY_MISSING
