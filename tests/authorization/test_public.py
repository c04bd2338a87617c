"""What others are told of a refusal: never an endpoint, a key in a URL or a path of the owner."""

import pytest

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import HINTS, PUBLIC, Reason, Refused, public_sentence
from datatoken.errors import (
    ChainUnreachableError,
    DataTokenError,
    LocalEnvironmentError,
    NodesDisagreeError,
    RolledBackViewError,
    StaleViewError,
    StoreError,
    WrongChainError,
)
from datatoken.service.assets.app import _answered
from datatoken.service.monitor import Monitor
from rtt_tracer.party.steps import Outcome, State, outcome_of

SECRET = "https://user:s3cret@node.bank.example/v3/APIKEY"
OUTAGES = [
    ChainUnreachableError,
    NodesDisagreeError,
    StaleViewError,
    RolledBackViewError,
    WrongChainError,
    StoreError,
    LocalEnvironmentError,
]


def outage(kind: type[DataTokenError]) -> Refused:
    with pytest.raises(Refused) as caught, as_refusals():
        raise kind(f"{SECRET} of /home/owner did not answer.")
    return caught.value


@pytest.mark.parametrize("kind", OUTAGES)
def test_stranger_at_an_asset_service(kind: type[DataTokenError]) -> None:
    """Threat: anybody with a key of his own asks for a run while the node is away."""
    refused = outage(kind)

    _, body = _answered(refused)

    assert body["code"] == refused.reason.value
    assert body["message"] == PUBLIC[refused.reason]
    assert body["hint"] == HINTS[refused.reason]
    assert SECRET in refused.message  # the owner's own log has it


@pytest.mark.parametrize("kind", OUTAGES)
def test_peers_of_a_party_that_stops(kind: type[DataTokenError]) -> None:
    outcome = outcome_of(outage(kind))

    assert SECRET in outcome.sentence
    assert outcome.stop is not None
    assert outcome.stop.reason == outcome.reason
    assert outcome.stop.sentence == PUBLIC[Reason(outcome.reason or "")]


@pytest.mark.parametrize("kind", [StoreError, LocalEnvironmentError])
def test_error_that_is_no_refusal_tells_peers_nothing(kind: type[DataTokenError]) -> None:
    stop = outcome_of(kind("/home/owner/state is full.")).stop

    assert stop is not None
    assert "/home" not in stop.sentence


def test_what_is_no_secret_is_told() -> None:
    assert Refused(Reason.GRANT_MISSING, "DT 0x12… is not granted.").public.startswith("DT 0x12")
    assert public_sentence(Reason.PARTY_MISSING, "DT 0x12… is away.") == "DT 0x12… is away."
    assert Outcome(State.FINISHED).stop is None


@pytest.mark.parametrize("kind", OUTAGES)
def test_whoever_asks_for_a_gates_health(kind: type[DataTokenError]) -> None:
    def away() -> None:
        raise kind(f"{SECRET} of /home/owner did not answer.")

    monitor = Monitor("supernode")
    monitor.add_probe("chain", away)

    well, said = monitor.health()

    assert not well
    assert kind.code in said["chain"]
    assert "node.bank" not in said["chain"]
    assert "/home" not in said["chain"]
