"""What a party's own gate refuses: before it introduces itself, reads rows or starts an engine."""

import time
from collections.abc import Callable

import pytest

from datatoken.authorization.reasons import Reason
from datatoken.authorization.request import SignedRequest
from datatoken.ddo.canonical import canonical_bytes
from datatoken.roles import Institution
from datatoken.types import Hex32
from rtt_tracer.party.run import Party
from rtt_tracer.party.steps import State
from rtt_tracer.settings import load_party
from tests.rtt_tracer.party.conftest import PARAMETERS, Ground
from tests.rtt_tracer.processes import Asset
from tests.support.chain import Account, fresh

pytestmark = pytest.mark.spu

Change = Callable[[SignedRequest], tuple[Account, dict[str, object]]]


def refuse(asset: Asset, job: Hex32, request: Hex32, reason: Reason) -> str:
    """Run a party that must be refused; return the sentence."""
    made = Party(load_party(asset.config), job, request)
    outcome = made.run()
    folder = asset.run_folder(request[2:34])
    events = (folder / "events.jsonl").read_text()
    assert (outcome.state, outcome.reason) == (State.REFUSED, reason), outcome
    assert int(outcome.code) == 4
    assert (made.status["state"], made.status["reason"]) == ("refused", reason)
    assert "introduced" not in events
    assert sorted(path.name for path in folder.iterdir()) == [
        "events.jsonl", "party.lock", "results", "status.json",
    ]  # fmt: skip
    assert list((folder / "results").iterdir()) == []
    return outcome.sentence


def signed_otherwise(
    ground: Ground, signer: Account, signed: SignedRequest, **change: object
) -> Hex32:
    """Store a request that differs in something, well signed by somebody."""
    request = signed.request.model_copy(update=change)
    signature = signer.signer.sign_full(request.typed_data())
    other = SignedRequest(request=request, signature=signature)
    return ground.world.world.a.site.store.put(canonical_bytes(other))


@pytest.fixture(scope="module")
def posted(ground: Ground) -> tuple[Hex32, SignedRequest]:
    """A job that stands, and a request for it that no party has seen."""
    job, _ = ground.world.job(ground.assets)
    signed, _ = ground.world.request(job, **{**PARAMETERS, "epochs": 1})
    return job, signed


def test_algorithm_that_nobody_has_posted(
    ground: Ground, posted: tuple[Hex32, SignedRequest]
) -> None:
    """A grant alone starts nothing. Acceptance: 44, 64"""
    algorithm = ground.world.algorithm(ground.assets)
    ground.world.grant(ground.assets, algorithm)
    nowhere = fresh()
    request = signed_otherwise(ground, ground.world.c, posted[1], job=nowhere, audience=algorithm)

    refuse(ground.computes[0], nowhere, request, Reason.JOB_UNKNOWN)


def test_request_for_another_job(ground: Ground, posted: tuple[Hex32, SignedRequest]) -> None:
    other, _ = ground.world.job(ground.assets)
    request = signed_otherwise(ground, ground.world.c, posted[1], nonce=1)

    refuse(ground.computes[0], other, request, Reason.REQUEST_MISMATCH)


@pytest.mark.parametrize("which", [0, 2])
def test_owner_that_has_withdrawn(ground: Ground, which: int) -> None:
    """Acceptance: 64"""
    asset, run = ground.assets[which], ground.ask(epochs=1)
    ground.world.revoke(asset, run.algorithm)

    refuse(asset, run.job, run.request, Reason.GRANT_REVOKED)


def test_asset_that_the_job_does_not_hold(
    ground: Ground, posted: tuple[Hex32, SignedRequest]
) -> None:
    stranger = ground.world.compute(ground.world.d, ground.computes[0].operation, name="stranger")

    refuse(stranger, posted[0], posted[1].digest(), Reason.NOT_IN_JOB)


def test_job_that_its_guarantor_has_paused(ground: Ground) -> None:
    """Job status. Acceptance: 64"""
    run = ground.ask(epochs=1)
    ground.world.world.role(Institution, ground.world.c).pause(run.job)

    refuse(ground.computes[0], run.job, run.request, Reason.JOB_NOT_OPEN)


def test_request_signed_by_another(ground: Ground, posted: tuple[Hex32, SignedRequest]) -> None:
    """The algorithm DT's owner has to sign, not one of the parties. Acceptance: 64, 112"""
    request = signed_otherwise(ground, ground.world.b, posted[1])

    refuse(ground.computes[0], posted[0], request, Reason.REQUEST_SIGNATURE)


def test_request_for_another_audience(ground: Ground, posted: tuple[Hex32, SignedRequest]) -> None:
    """Acceptance: 64, 112"""
    request = signed_otherwise(
        ground, ground.world.c, posted[1], audience=ground.data[1].dt, nonce=2
    )

    refuse(ground.computes[0], posted[0], request, Reason.REQUEST_MISMATCH)


def test_request_that_has_expired(ground: Ground, posted: tuple[Hex32, SignedRequest]) -> None:
    """Acceptance: 64, 112"""
    request = signed_otherwise(
        ground, ground.world.c, posted[1], deadline=int(time.time()) - 5, nonce=3
    )

    refuse(ground.computes[0], posted[0], request, Reason.REQUEST_EXPIRED)


def test_request_for_other_code(ground: Ground, posted: tuple[Hex32, SignedRequest]) -> None:
    """Acceptance: 65"""
    request = signed_otherwise(ground, ground.world.c, posted[1], operation=fresh(), nonce=4)

    refuse(ground.computes[0], posted[0], request, Reason.REQUEST_MISMATCH)


def test_parameters_outside_the_owners_terms(ground: Ground) -> None:
    """A bank limits what runs on its shares elsewhere: a job of four others' and one of its own."""
    world = ground.world
    source = dict(ground.data[1].table or {})["source"]
    strict = world.data(
        world.b, ground.data[1].operation, source, name="strict",
        parameters={"epochs": {"maximum": 2}},
    )  # fmt: skip
    job, _ = world.job([ground.data[0], strict, *ground.computes])
    signed, _ = world.request(job, **{**PARAMETERS, "epochs": 3})

    said = refuse(strict, job, signed.digest(), Reason.PARAMETERS_OUTSIDE_TERMS)

    assert "epochs" in said


def test_refused_party_is_refused_again(
    ground: Ground, posted: tuple[Hex32, SignedRequest]
) -> None:
    """Repeating a command is safe: it says what happened, and starts nothing."""
    request = signed_otherwise(ground, ground.world.a, posted[1], nonce=5)
    refuse(ground.computes[1], posted[0], request, Reason.REQUEST_SIGNATURE)
    before = (ground.computes[1].run_folder(request[2:34]) / "status.json").read_bytes()

    again = ground.world.start(ground.computes[1], posted[0], request)

    assert again.wait() == 4
    assert "REQUEST_REPLAYED" in again.log.read_text()
    assert (again.folder / "status.json").read_bytes() == before
