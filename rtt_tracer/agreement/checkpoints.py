"""Checkpoints: what all parties commit to, sign, and hand to the recorder together.

A checkpoint is over at a party when it holds valid receipts of all: only then does it hand
its own to the recorder, so that a stage that somebody did not finish, or finished
differently, is never logged (ADR 0019). Nothing is revealed: commitments are salted.
"""

from collections.abc import Mapping
from typing import Protocol

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network
from datatoken.ddo.canonical import canonical_bytes
from datatoken.rounds.checker import check_receipt
from datatoken.rounds.receipts import SignedReceipt
from datatoken.types import Hex32, sha256_hex
from rtt_tracer.agreement.plan import Plan

DOMAIN = b"datatoken/checkpoint/1\n"


class Ended(Protocol):
    """A party's last word (`rtt_tracer.control.messages.Final`)."""

    @property
    def digest(self) -> Hex32:
        """Of what is equal at all parties."""
        ...

    @property
    def checkpoints(self) -> int:
        """How many the party has signed."""
        ...


def common_digest(agreed: Hex32, number: int, commitments: Mapping[Hex32, Hex32]) -> Hex32:
    """Return what all parties sign at a checkpoint: `input` of their receipts.

    Parameters
    ----------
    agreed : Hex32
        The agreed hash.
    number : int
        Of the checkpoint, from 0 (inputs shared).
    commitments : mapping of Hex32 to Hex32
        DT → salted commitment.
    """
    body = {"agreed": agreed, "number": number, "commitments": dict(commitments)}
    return sha256_hex(DOMAIN + canonical_bytes(body))


class Checkpoint:
    """One checkpoint as one party sees it, from the first commitment to the last receipt.

    Messages may come in any order and more than once. A DT that says two different things
    ends the run.

    Parameters
    ----------
    plan : Plan
    agreed : Hex32
    number : int
    network : Network
    """

    def __init__(self, plan: Plan, agreed: Hex32, number: int, network: Network) -> None:
        self.number = number
        self._plan, self._agreed, self._network = plan, agreed, network
        self._commitments: dict[Hex32, Hex32] = {}
        self._receipts: dict[Hex32, SignedReceipt] = {}

    def commit(self, dt: Hex32, commitment: Hex32) -> None:
        """Take the commitment that `dt` has made; raise `Refused` when it made another one."""
        self._plan.of(dt)
        if self._commitments.setdefault(dt, commitment) != commitment:
            raise _mismatch(self.number, dt, "has committed to two different results")
        self._check_receipts()

    def sign(self, dt: Hex32, signed: SignedReceipt, now: int) -> None:
        """Take the receipt that `dt` has signed.

        Raises
        ------
        Refused
            CHECKPOINT_MISMATCH when it is not that party's valid receipt of this checkpoint.
        """
        owner = self._plan.of(dt).owner
        if signed.receipt.dt != dt:
            raise _mismatch(self.number, dt, "has signed for another DT")
        if why := check_receipt(signed, self._plan.job, self._network, owner):
            raise _mismatch(self.number, dt, f"has sent a receipt that is refused: {why}")
        if signed.delegation.expiry <= now:
            raise _mismatch(self.number, dt, "has signed with a delegation that has expired")
        if self._receipts.setdefault(dt, signed) != signed:
            raise _mismatch(self.number, dt, "has signed two different receipts")
        self._check_receipts()

    @property
    def uncommitted(self) -> list[Hex32]:
        """The parties whose commitments are missing."""
        return [dt for dt in self._plan.dts if dt not in self._commitments]

    @property
    def unsigned(self) -> list[Hex32]:
        """The parties whose receipts are missing."""
        return [dt for dt in self._plan.dts if dt not in self._receipts]

    @property
    def digest(self) -> Hex32 | None:
        """The common digest, once all have committed."""
        if self.uncommitted:
            return None
        return common_digest(self._agreed, self.number, self._commitments)

    @property
    def complete(self) -> bool:
        """Whether all parties have signed the common digest."""
        return not self.uncommitted and not self.unsigned

    @property
    def receipts(self) -> dict[Hex32, SignedReceipt]:
        """The receipts by DT."""
        return dict(self._receipts)

    def _check_receipts(self) -> None:
        """Hold the receipts against the digest; one may come before the last commitment."""
        if (digest := self.digest) is None:
            return
        plan = self._plan
        expected = (plan.job, plan.request, plan.run, plan.kind, digest)
        for dt, signed in self._receipts.items():
            found = signed.receipt
            if (found.job, found.request, found.run, found.kind, found.input) != expected:
                raise _mismatch(self.number, dt, "has signed another checkpoint")


def check_agreed(agreed: Hex32, said: Mapping[Hex32, Hex32]) -> None:
    """Compare the hashes that parties have come to.

    Raises
    ------
    Refused
        AGREEMENT_MISMATCH when one differs.
    """
    for dt, other in said.items():
        if other != agreed:
            raise Refused(
                Reason.AGREEMENT_MISMATCH,
                f"DT {dt[:10]}… has agreed to {other[:10]}…, this party to {agreed[:10]}….",
            )


def check_finals(plan: Plan, said: Mapping[Hex32, Ended]) -> None:
    """Check that all parties have ended with the same result after as many checkpoints.

    Raises
    ------
    Refused
        PARTY_MISSING, or CHECKPOINT_MISMATCH when they differ.
    """
    if absent := [dt for dt in plan.dts if dt not in said]:
        raise Refused(Reason.PARTY_MISSING, f"DT {absent[0][:10]}… has not said how it ended.")
    ends = {(said[dt].digest, said[dt].checkpoints) for dt in plan.dts}
    if len(ends) > 1:
        raise Refused(Reason.CHECKPOINT_MISMATCH, "The parties have ended with different results.")


def _mismatch(number: int, dt: Hex32, why: str) -> Refused:
    return Refused(Reason.CHECKPOINT_MISMATCH, f"Checkpoint {number}: DT {dt[:10]}… {why}.")
