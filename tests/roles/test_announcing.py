"""A composite's owner verifies the compute request before it announces the job."""

import time
from typing import Any

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest, parameters_digest
from datatoken.chain import errors
from datatoken.errors import StoreError
from datatoken.roles import AlgorithmProvider, AssetOwner
from datatoken.types import ZERO32, Hex32
from tests.support.chain import fresh
from tests.support.world import Wearables, World

ARTEFACT = "0x" + "cd" * 32


@pytest.fixture
def made(world: World) -> Wearables:
    found = world.two_banks_of_users(1)
    found.grant()
    return found


def announced(made: Wearables, job: Hex32) -> Hex32:
    return made.a.site.reader.announcement(job, made.composite)


def refused(made: Wearables, job: Hex32, request: Any, **options: Any) -> Reason:
    before = announced(made, job)
    with pytest.raises(Refused) as caught:
        made.a.announce(job, request, **options)
    assert announced(made, job) == before
    return caught.value.reason


def test_a_verified_request_is_announced_on_chain(made: Wearables) -> None:
    """Acceptance: 76, 77"""
    # Prepare
    job, parameters = made.post(), {"num-server-rounds": 3}
    request = made.b.sign_request(job, ARTEFACT, parameters, audience=made.composite)
    # Execute: by digest, from the store; then repeated
    digest = made.a.announce(job, request.digest(), artefact=ARTEFACT, parameters=parameters)
    again = made.a.announce(job, request)
    # Assert
    assert digest == again == request.digest() == announced(made, job)
    assert request.signer() == made.b.address
    assert request.request.parameters == parameters_digest(parameters)


def test_only_the_algorithms_owner_signs(made: Wearables, world: World) -> None:
    job = made.post()
    stranger = world.role(AlgorithmProvider, world.chain.a)
    with pytest.raises(errors.NotTokenOwner):
        stranger.sign_request(job, ARTEFACT, {})
    # Signed by hand all the same
    good = made.b.sign_request(job, ARTEFACT, {})
    forged = SignedRequest(
        request=good.request, signature=stranger.signer.sign_full(good.request.typed_data())
    )
    assert refused(made, job, forged) is Reason.REQUEST_SIGNATURE
    assert refused(made, job, good.model_copy(update={"signature": "0x" + "00" * 65})) is (
        Reason.REQUEST_SIGNATURE
    )


def test_replayed_request_is_refused(made: Wearables) -> None:
    """Threat: replayed request."""
    # Prepare: announced once, then replaced by another run's
    job = made.post()
    first = made.b.sign_request(job, ARTEFACT, {})
    second = made.b.sign_request(job, ARTEFACT, {})
    made.a.announce(job, first)
    made.a.announce(job, second)
    # Execute, Assert
    assert refused(made, job, first) is Reason.REQUEST_REPLAYED
    made.a.withdraw(job, made.composite)
    made.a.withdraw(job, made.composite)
    assert announced(made, job) == ZERO32
    assert refused(made, job, second) is Reason.REQUEST_REPLAYED


def test_replayed_request_is_refused_after_the_own_memory_was_lost(
    made: Wearables, world: World
) -> None:
    """Threat: replayed request. What was announced once is on the chain for good."""
    # Prepare
    job = made.post()
    first, second = (made.b.sign_request(job, ARTEFACT, {}) for _ in range(2))
    made.a.announce(job, first)
    made.a.announce(job, second)
    # Execute: the same account on a new machine
    anew = AssetOwner(world.site("another folder"), made.a.signer)
    with pytest.raises(Refused) as caught:
        anew.announce(job, first)
    # Assert
    assert caught.value.reason is Reason.REQUEST_REPLAYED
    assert announced(made, job) == second.digest()
    anew.close()


def test_a_used_nonce_does_not_carry_another_request(made: Wearables) -> None:
    """Threat: replayed request, with its other bytes signed anew."""
    job = made.post()
    first = made.b.sign_request(job, ARTEFACT, {})
    made.a.announce(job, first)
    body = first.request.model_copy(update={"operation": fresh()})
    other = SignedRequest(request=body, signature=made.b.signer.sign_full(body.typed_data()))
    assert other.digest() != first.digest()
    assert refused(made, job, other) is Reason.REQUEST_REPLAYED


def test_an_announcement_that_did_not_arrive_can_be_repeated(
    made: Wearables, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = made.post()
    request = made.b.sign_request(job, ARTEFACT, {})

    def lost(*_: object) -> None:
        raise StoreError("the power went out")

    with monkeypatch.context() as broken:
        broken.setattr(made.a, "send", lost)
        with pytest.raises(StoreError):
            made.a.announce(job, request)
    assert made.a.announce(job, request) == announced(made, job)


def test_request_for_something_else_is_refused(made: Wearables, world: World) -> None:
    job, other = made.post(), made.post()
    good = made.b.sign_request(job, ARTEFACT, {"lr": 1})
    assert refused(made, other, good) is Reason.JOB_UNKNOWN
    assert refused(made, fresh(), good) is Reason.JOB_UNKNOWN
    assert refused(made, job, good, artefact=fresh()) is Reason.REQUEST_MISMATCH
    assert refused(made, job, good, parameters={"lr": 2}) is Reason.REQUEST_MISMATCH
    sideways = made.b.sign_request(job, ARTEFACT, {}, audience=made.data[0])
    assert refused(made, job, sideways) is Reason.REQUEST_MISMATCH
    for field, value in (("chain_id", 1), ("market", "0x" + "22" * 20)):
        body = good.request.model_copy(update={field: value})
        signature = made.b.signer.sign_full(body.typed_data())
        foreign = SignedRequest(request=body, signature=signature)
        assert refused(made, job, foreign) is Reason.REQUEST_MISMATCH


def test_expired_request_is_refused(made: Wearables) -> None:
    job = made.post()
    late = made.b.sign_request(job, ARTEFACT, {}, deadline=int(time.time()) - 1)
    assert refused(made, job, late) is Reason.REQUEST_EXPIRED


def test_nothing_is_announced_for_a_paused_job_or_without_the_own_grant(
    made: Wearables, world: World
) -> None:
    job = made.post()
    request = made.b.sign_request(job, ARTEFACT, {})
    world.b.pause(job)
    assert refused(made, job, request) is Reason.JOB_NOT_OPEN
    world.b.reopen(job)
    made.a.revoke(made.composite, made.algorithm)
    assert refused(made, job, request) is Reason.GRANT_REVOKED
    made.a.grant(made.composite, made.algorithm)
    task = made.a.site.reader.job(job).task
    world.b.close_task(task)
    assert refused(made, job, request) is Reason.TASK_NOT_OPEN


def test_only_a_composites_owner_announces(made: Wearables, world: World) -> None:
    job = made.post()
    request = made.b.sign_request(job, ARTEFACT, {})
    with pytest.raises(Refused) as caught:
        world.user(0).announce(job, request)
    assert caught.value.reason is Reason.NOT_IN_JOB
    with pytest.raises(Refused) as caught:
        made.a.announce(job, request, composite=made.data[0])
    assert caught.value.reason is Reason.NOT_IN_JOB


def test_sign_request_of_an_unknown_job(made: Wearables) -> None:
    with pytest.raises(Refused) as caught:
        made.b.sign_request(fresh(), ARTEFACT, {})
    assert caught.value.reason is Reason.JOB_UNKNOWN
