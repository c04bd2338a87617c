"""Authorization requests over real HTTP: granted, queued or refused by the owner's policy."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken.chain.signer import Signer
from datatoken.roles import AlgorithmProvider
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Authorization, AuthorizationState
from datatoken.service.assets.policy import MAX_QUEUED_EACH
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Hex32
from tests.support.asset_service import Bank, Serving
from tests.support.chain import fresh, wait_until
from tests.support.world import World, composed

Start = Callable[..., Serving]


def problem(call: Callable[[], object]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        call()
    assert caught.value.message
    return caught.value


def settled(client: AssetServiceClient, asked: Authorization) -> Authorization:
    """Wait until a request is no longer on its way."""
    found = asked

    def done() -> bool:
        nonlocal found
        time.sleep(0.1)
        found = client.authorization(asked.id)
        return found.state is not AuthorizationState.APPROVED

    wait_until(done, 30)
    return found


def granted(bank: Bank, parent: Hex32 | None = None) -> bool:
    return bank.owner.site.reader.grant(parent or bank.algorithm, bank.data).active


def test_auto_grants_within_the_terms(bank: Bank, start: Start) -> None:
    """Acceptance: 42, 59, 60, 86."""
    serving = start(bank, policy={"expiry": 3600, "max_rounds": 7})
    client = serving.requester()

    found = settled(client, client.ask(bank.data, bank.algorithm, "for research"))

    assert (found.state, found.standing) == (AuthorizationState.GRANTED, True)
    grant = bank.owner.site.reader.grant(bank.algorithm, bank.data)
    assert grant.active and grant.max_rounds == 7
    assert grant.expiry == found.expiry > bank.owner.site.now()


def test_repeating_a_request_is_safe(bank: Bank, start: Start) -> None:
    serving = start(bank, mode="queue")
    client = serving.requester()

    first, again = (client.ask(bank.data, bank.algorithm) for _ in range(2))
    bank.grant()
    after = client.ask(bank.data, bank.algorithm)

    assert first.id == again.id == after.id
    assert (first.state, after.state) == (AuthorizationState.QUEUED, AuthorizationState.GRANTED)
    assert [one.id for one in client.authorizations()] == [first.id]


@pytest.mark.parametrize("mode", ["auto", "queue"])
def test_authorization_request_whose_workflow_breaks_the_terms(
    bank_world: World, tmp_path: Path, start: Start, mode: str
) -> None:
    """Every reason at once, and no grant. Acceptance: 42, 59, 60."""
    terms = {"purposes": ["credit scoring"], "parameters": {"epochs": {"maximum": 3}}}
    bank = Bank(bank_world, tmp_path / "bank", terms=terms)
    serving = start(bank, mode=mode)
    other = bank.compose(parameters={bank.operation: {"epochs": 9}})

    found = problem(lambda: serving.requester().ask(bank.data, other))

    assert found.service_code is ServiceCode.AGREEMENT
    shown = " ".join(found.violations)
    assert "purpose" in shown and "epochs" in shown and "9 is above 3" in shown
    assert serving.requester().authorizations() == []
    assert not granted(bank, other)


def test_parent_that_does_not_name_the_child(bank: Bank, start: Start, bank_world: World) -> None:
    serving = start(bank)
    other = Bank(bank_world, bank.folder.parent / "other")

    found = problem(lambda: serving.client(other.provider).ask(bank.data, other.algorithm))

    assert found.service_code is ServiceCode.AGREEMENT
    assert "does not name" in found.violations[0]


def test_only_the_parents_owner_asks(bank: Bank, start: Start) -> None:
    serving = start(bank)

    for who in (Signer.random(), bank.owner.signer):
        client = serving.client(who)
        found = problem(lambda c=client: c.ask(bank.data, bank.algorithm))  # type: ignore[misc]
        assert found.service_code is ServiceCode.NOT_ENTITLED
    assert not granted(bank)


def test_asset_of_another_service(bank: Bank, start: Start) -> None:
    serving = start(bank)

    found = problem(lambda: serving.requester().ask(fresh(), bank.algorithm))

    assert found.service_code is ServiceCode.ASSET_UNKNOWN


def test_policy_that_refuses(bank: Bank, start: Start) -> None:
    serving = start(bank, mode="refuse")

    found = problem(lambda: serving.requester().ask(bank.data, bank.algorithm))

    assert (found.service_code, found.hint != "") == (ServiceCode.POLICY, True)


def test_human_approves_and_refuses(bank: Bank, start: Start) -> None:
    """Acceptance: 42, 73, 86."""
    serving = start(bank, mode="queue")
    requester, owner = serving.requester(), serving.client(bank.owner)
    second = bank.compose(name="Second")
    asked, other = requester.ask(bank.data, bank.algorithm), requester.ask(bank.data, second)

    assert [one.id for one in owner.authorizations()] == [other.id, asked.id]
    owner.approve(asked.id, max_rounds=5)
    refused = owner.refuse(other.id, "Ask in May.")

    assert settled(requester, asked).state is AuthorizationState.GRANTED
    assert bank.owner.site.reader.grant(bank.algorithm, bank.data).max_rounds == 5
    assert (refused.state, refused.why) == (AuthorizationState.REFUSED, "Ask in May.")
    assert problem(lambda: owner.refuse(other.id)).service_code is (
        ServiceCode.AUTHORIZATION_DECIDED
    )
    assert not granted(bank, second)


def test_requester_does_not_decide(bank: Bank, start: Start) -> None:
    serving = start(bank, mode="queue")
    client = serving.requester()
    asked = client.ask(bank.data, bank.algorithm)

    for call in (lambda: client.approve(asked.id), lambda: client.refuse(asked.id)):
        assert problem(call).service_code is ServiceCode.NOT_ENTITLED
    stranger = serving.client(Signer.random())
    assert problem(lambda: stranger.authorization(asked.id)).service_code is (
        ServiceCode.NOT_ENTITLED
    )
    assert not granted(bank)


def test_service_without_the_owners_key(bank: Bank, start: Start) -> None:
    """The owner grants elsewhere, and the service sees it on the chain."""
    serving = start(bank, mode="queue", hold_key=False)
    requester, owner = serving.requester(), serving.client(bank.owner)
    asked = requester.ask(bank.data, bank.algorithm)

    assert problem(lambda: owner.approve(asked.id)).service_code is ServiceCode.NOT_GRANTED
    bank.grant()

    assert owner.approve(asked.id).state is AuthorizationState.GRANTED
    assert requester.authorization(asked.id).standing


def test_auto_for_known_requesters_only(bank: Bank, start: Start) -> None:
    serving = start(bank, policy={"requesters": [Signer.random().address]})

    asked = serving.requester().ask(bank.data, bank.algorithm)

    assert asked.state is AuthorizationState.QUEUED
    assert not granted(bank)


def test_queue_flood(bank: Bank, start: Start) -> None:
    """One requester fills its own share of the queue; others get in."""
    serving = start(bank, mode="queue")
    client = serving.requester()
    for number in range(MAX_QUEUED_EACH):
        client.ask(bank.data, bank.compose(name=f"Flood {number}"))

    found = problem(lambda: client.ask(bank.data, bank.algorithm))

    assert found.service_code is ServiceCode.TOO_MANY
    provider = bank.world.role(AlgorithmProvider, bank.world.chain.a)
    metadata = composed([bank.data], [{"0": bank.operation}], type="algorithm", name="Other")
    other = provider.publish(metadata).dt
    assert serving.client(provider).ask(bank.data, other).state is AuthorizationState.QUEUED


def test_approved_request_is_granted_after_a_crash(bank: Bank, start: Start) -> None:
    """The service is killed between its yes and the transaction."""
    serving = start(bank)
    client = serving.requester()
    asked = client.ask(bank.data, bank.algorithm)
    serving.kill()
    serving.start()

    assert settled(serving.requester(), asked).state is AuthorizationState.GRANTED
    assert granted(bank)
