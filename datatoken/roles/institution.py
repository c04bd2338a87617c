"""A trusted institution: enrols users, vouches for jobs by posting them, relays signatures."""

from collections.abc import Sequence

from datatoken.chain.contracts import Task
from datatoken.errors import BadInputError
from datatoken.roles.account import Account
from datatoken.roles.errors import contract_refusal
from datatoken.roles.market import TaskDescription, close_task, create_task, post_job
from datatoken.roles.publishing import prepare
from datatoken.roles.signed import (
    Signed,
    SignedGrant,
    SignedMint,
    SignedRevocation,
    check_signature,
)
from datatoken.types import ZERO_ADDRESS, Address, Hex32, JobStatus


class Institution(Account):
    """A registered name with an account; the guarantor of the jobs that it posts."""

    def enrol_users(self, users: Sequence[Address]) -> list[Address]:
        """Enrol users and return those that were not enrolled before; repeating is safe.

        Raises
        ------
        ContractError
            UserExists, when another active institution has enrolled one; nothing is sent.
        """
        registry = self.site.contracts.institutions
        new: list[Address] = []
        for user in dict.fromkeys(users):
            enroller = registry.enroller(user)
            if enroller == self.address:
                continue
            if enroller != ZERO_ADDRESS and registry.is_institution(enroller):
                raise contract_refusal("UserExists", user=user, institution=enroller)
            new.append(user)
        if new:
            self.send(registry.enrol_users(new))
        return new

    def remove_users(self, users: Sequence[Address]) -> list[Address]:
        """Remove own users and return those that were enrolled; repeating is safe."""
        registry = self.site.contracts.institutions
        present: list[Address] = []
        for user in dict.fromkeys(users):
            enroller = registry.enroller(user)
            if enroller not in (ZERO_ADDRESS, self.address):
                raise contract_refusal("NotEnroller", caller=self.address, user=user)
            if enroller == self.address:
                present.append(user)
        if present:
            self.send(registry.remove_users(present))
        return present

    def create_task(self, title: str, description: str = "") -> int:
        """Create a task and return its number; repeating is safe."""
        return create_task(self, TaskDescription(title=title, description=description))

    def close_task(self, task: int) -> None:
        """Close an own task; repeating is safe."""
        close_task(self, task)

    def task(self, task: int) -> Task:
        """Return a task."""
        return self.site.contracts.market.task(task)

    def post_job(self, task: int, algorithm: Hex32, recorder: Address | None = None) -> Hex32:
        """Vouch for an algorithm by posting it as a job, and return the job.

        The contract walks everything below and reverts when a grant is missing, revoked or
        expired. Repeating is safe: a job of this task, algorithm and recorder that is not
        closed is returned.

        Parameters
        ----------
        recorder : Address, optional
            Account that logs the rounds; by default the one that the DDOs name.

        Raises
        ------
        ContractError
            For example MissingGrant with parent and child.
        """
        return post_job(self, task, algorithm, recorder)

    def pause(self, job: Hex32) -> None:
        """Pause an own job; repeating is safe."""
        if self._status(job) is not JobStatus.PAUSED:
            self.send(self.site.contracts.market.pause(job))

    def reopen(self, job: Hex32) -> None:
        """Reopen a paused job; repeating is safe."""
        if self._status(job) is not JobStatus.OPEN:
            self.send(self.site.contracts.market.reopen(job))

    def close_job(self, job: Hex32) -> None:
        """Close a job for good; repeating is safe."""
        if self._status(job) is not JobStatus.CLOSED:
            self.send(self.site.contracts.market.close(job))

    def _status(self, job: Hex32) -> JobStatus:
        status = self.site.reader.job(job).status
        if status is JobStatus.NONE:
            raise contract_refusal("UnknownJob", job=job)
        return status

    def relay(self, signed: Signed) -> None:
        """Send what an owner without funds has signed; repeating is safe.

        The signature and everything that it is about are verified before a fee is paid.

        Raises
        ------
        BadInputError
            When the owner did not sign exactly this.
        ContractError
            When the registry refuses, for example StaleEpoch after a revocation.
        """
        check_signature(signed, self.site.network)
        if isinstance(signed, SignedMint):
            self._relay_mint(signed)
        elif isinstance(signed, SignedGrant):
            self._relay_grant(signed)
        else:
            self._relay_revocation(signed)

    def _relay_mint(self, signed: SignedMint) -> None:
        metadata = signed.ddo.metadata
        ddo, content, minted = prepare(self.site, signed.owner, metadata, signed.salt)
        if ddo != signed.ddo:
            raise BadInputError(
                "The signed DDO is not the one that its owner and salt give.",
                "Ask the owner to sign it again.",
            )
        digest = self.site.store.put(content)
        if not minted:
            intent = self.site.contracts.tokens.mint_by_sig(
                signed.owner,
                ddo.kind,
                ddo.proof,
                digest,
                signed.signature,
                signed.deadline,
                ddo.children,
                signed.salt,
            )
            self.send(intent)

    def _relay_grant(self, signed: SignedGrant) -> None:
        slot = self.site.reader.grant(signed.parent, signed.child)
        wanted = (True, signed.epoch, signed.expiry, signed.max_rounds)
        if (slot.active, slot.epoch, slot.expiry, slot.max_rounds) == wanted:
            return
        intent = self.site.contracts.tokens.grant_by_sig(
            signed.child,
            signed.parent,
            signed.expiry,
            signed.max_rounds,
            signed.epoch,
            signed.deadline,
            signed.signature,
        )
        self.send(intent)

    def _relay_revocation(self, signed: SignedRevocation) -> None:
        slot = self.site.reader.grant(signed.parent, signed.child)
        if not slot.active and slot.epoch == signed.epoch + 1:
            return
        intent = self.site.contracts.tokens.revoke_by_sig(
            signed.child, signed.parent, signed.epoch, signed.deadline, signed.signature
        )
        self.send(intent)
