"""``datatoken verify``: documents against the chain, receipts against the log."""

from pathlib import Path
from typing import Any

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.cli.verify import logged_round
from datatoken.roles import Site
from datatoken.rounds.documents import InclusionProof, RoundDocument
from tests.cli.conftest import call
from tests.support.chain import Account, fresh
from tests.support.receipts import Node, document
from tests.support.world import World, composed, leaf


class Logged:
    """A posted job with one logged round of three receipts, and a proof for the second."""

    def __init__(self, world: World, *, append: bool = True) -> None:
        self.world, chain = world, world.chain
        self.recorder: Account = chain.users[5]
        edge = world.operation()
        dt = world.user(0).publish(leaf(edge)).dt
        from datatoken.roles import AlgorithmProvider

        provider = world.role(AlgorithmProvider, chain.b)
        plain = composed([dt], [{"0": edge}], type="algorithm", recorder=self.recorder.address)
        algorithm = provider.publish(plain).dt
        world.user(0).grant(dt, algorithm)
        self.job = world.b.post_job(world.b.create_task(f"Verify {algorithm}"), algorithm)
        node = Node.of(chain.users[0].signer, dt, chain.network)
        receipts = [node.receipt(self.job, fresh()) for _ in range(3)]
        self.document = document(chain.network, self.job, self.recorder.address, receipts)
        self.proof = self.document.proof(receipts[1].receipt.digest())
        if append:
            self.append(self.document)

    def append(self, found: RoundDocument) -> None:
        log = self.world.chain.contracts.log
        self.recorder.send(log.append(self.job, found.previous, found.digest()))

    @property
    def site(self) -> Site:
        return self.world.site("reader")

    def reason(self, proof: InclusionProof) -> Reason:
        with pytest.raises(Refused) as caught:
            logged_round(self.site, proof)
        return caught.value.reason


def test_a_receipt_in_the_log(world: World, tmp_path: Path) -> None:
    """Acceptance: 107"""
    logged = Logged(world)
    file = tmp_path / "proof.json"
    file.write_text(logged.proof.model_dump_json(exclude_none=True))
    world.chain.deployment.save(tmp_path / "state" / "deployment.json")
    result = call("verify", "receipt", file, "--format", "json", folder=tmp_path / "state")
    assert result.code == 0, result.err
    found: dict[str, Any] = result.json
    assert (found["job"], found["round"]) == (logged.job, 1)
    assert (found["document"], found["head"]) == (
        logged.document.digest(),
        logged.document.head(),
    )
    # Malformed
    file.write_text("{}")
    assert call("verify", "receipt", file, folder=tmp_path / "state").code == 3


def test_a_receipt_that_is_not_in_the_log(world: World) -> None:
    """Threats: log omission by the recorder, forked log."""
    logged = Logged(world, append=False)
    assert logged.reason(logged.proof) is Reason.RECORDER_BEHIND
    logged.append(logged.document)
    assert logged_round(logged.site, logged.proof).round == 1
    # Another receipt under the same round
    other = logged.proof.model_copy(update={"receipt": fresh()})
    assert logged.reason(other) is Reason.RECORDER_OMISSION
    # Another document for the round that is on the chain
    again = document(
        world.chain.network, logged.job, logged.recorder.address, list(logged.document.receipts)
    )
    forked = again.proof(logged.proof.receipt)
    assert logged.reason(forked) is Reason.LOG_FORKED
    # Somebody else's log of the same job
    stranger = document(
        world.chain.network, logged.job, world.chain.users[4].address, list(again.receipts)
    )
    assert logged.reason(stranger.proof(logged.proof.receipt)) is Reason.RECORDER_MISMATCH


def test_a_proof_of_another_chain(world: World) -> None:
    logged = Logged(world)
    header = logged.proof.header.model_copy(update={"log": "0x" + "12" * 20})
    foreign = logged.proof.model_copy(update={"header": header})
    assert logged.reason(foreign) is Reason.WRONG_CHAIN
