"""A composite's gate that is asked, before the announcement, what it would say after it."""

from dataclasses import replace
from typing import Any

import pytest

from datatoken.authorization import Reason, Refused
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.request import SignedRequest
from datatoken.authorization.view import Grant
from datatoken.ddo.canonical import canonical_bytes
from datatoken.types import sha256_hex
from tests.authorization.simulator import EDGECOMP, FEDAVERAGE, NOW, World
from tests.authorization.test_gate import Blocks, Chain
from tests.authorization.test_gate import ask as ask_gate


class Composite:
    """The maker's gate; nothing is announced."""

    def __init__(self, folder) -> None:
        self.world = World()
        self.dt = self.world.dt("maker")
        state = self.world.view().state
        self.chain = Chain(replace(state, announcements={}))
        contents = [canonical_bytes(EDGECOMP), canonical_bytes(FEDAVERAGE)]
        contents += self.world.contents().values()
        self.blocks = Blocks({sha256_hex(content): content for content in contents})
        history = HistoryStore(folder / "history.db")
        self.gate = Gatekeeper(self.dt, self.chain, self.blocks, history, clock=lambda: NOW)

    def signed(self, **more: Any) -> SignedRequest:
        signed = self.world.request(**more)
        self.blocks[signed.digest()] = canonical_bytes(signed)
        return signed

    def ask(self, signed: SignedRequest, **more: Any):
        given = {"bundle": FEDAVERAGE.bundle, "request": signed.digest(), **more}
        return ask_gate(self.gate, **given)

    def refusal(self, signed: SignedRequest, **more: Any) -> Reason:
        with pytest.raises(Refused) as caught:
            self.ask(signed, **more)
        return caught.value.reason


@pytest.fixture
def composite(tmp_path) -> Composite:
    return Composite(tmp_path)


def test_rehearsal_allows_what_is_allowed_once_announced(composite):
    signed = composite.signed()
    assert composite.refusal(signed, count=False) is Reason.REQUEST_MISSING

    rehearsed = composite.ask(signed, rehearse=True)

    assert composite.refusal(signed, count=False) is Reason.REQUEST_MISSING
    composite.chain.state = replace(
        composite.chain.state, announcements={composite.dt: signed.digest()}, counter=1
    )
    lease = composite.ask(signed, count=False)
    assert (lease.request, lease.sequence) == (rehearsed.request, rehearsed.sequence)


def test_rehearsal_counts_and_pins_nothing(composite):
    signed = composite.signed()

    leases = [composite.ask(signed, rehearse=True, run=run) for run in ("1", "2", "2")]

    assert [lease.sequence for lease in leases] == [1, 1, 1]


def test_rehearsal_of_a_second_request_is_about_that_one(composite):
    """The one that is announced is of an earlier run."""
    earlier, signed = composite.signed(), composite.signed(nonce=2)
    composite.chain.state = replace(
        composite.chain.state, announcements={composite.dt: earlier.digest()}
    )

    assert composite.ask(signed, rehearse=True).request == signed.digest()
    assert composite.ask(signed, count=False).request == earlier.digest()


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"operation": "0x" + "77" * 32}, Reason.REQUEST_MISMATCH),
        ({"parameters": "0x" + "77" * 32}, Reason.REQUEST_MISMATCH),
        ({"audience": "0x" + "77" * 32}, Reason.REQUEST_MISMATCH),
        ({"signer": "maker"}, Reason.REQUEST_SIGNATURE),
        ({"deadline": NOW}, Reason.REQUEST_EXPIRED),
    ],
)
def test_rehearsal_refuses_what_the_announced_request_would_be_refused_for(
    composite, wrong, reason
):
    assert composite.refusal(composite.signed(**wrong), rehearse=True) is reason


def test_rehearsal_refuses_a_revoked_grant(composite):
    edge = (composite.world.dt("fintech"), composite.dt)
    grants = {**composite.chain.state.grants, edge: Grant(active=False, epoch=1)}
    composite.chain.state = replace(composite.chain.state, grants=grants)

    assert composite.refusal(composite.signed(), rehearse=True) is Reason.GRANT_REVOKED
