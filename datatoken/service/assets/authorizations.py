"""Authorization requests: checked against the owner's terms, then granted, queued or refused.

The check is the one of ``datatoken review`` and ``datatoken grant``. What the chain says
counts: a grant that stands is a request that was granted, whoever gave it.
"""

import secrets
import time
from collections.abc import Callable

import structlog

from datatoken.authorization.view import Grant
from datatoken.chain.errors import ContractError
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.roles.errors import AgreementError
from datatoken.roles.owner import AssetOwner
from datatoken.roles.review import broken_terms
from datatoken.roles.site import Site
from datatoken.service.assets import policy
from datatoken.service.assets.book import AssetBook
from datatoken.service.assets.hosted import Assets, Hosted
from datatoken.service.assets.loop import Loop
from datatoken.service.assets.models import (
    Approval,
    Authorization,
    AuthorizationAsk,
    AuthorizationState,
    Refusal,
)
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address

log = structlog.get_logger(__name__)
INTERVAL = 1.0
MOST_VIOLATIONS = 32


class AuthorizationDesk:
    """Takes authorization requests and sees to it that approved ones are granted.

    Parameters
    ----------
    site : Site
        Chain, store and the service's folder.
    assets : Assets
    book : AssetBook
    owner : Signer, optional
        The owner's key; without it, nothing is granted from here.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(
        self,
        site: Site,
        assets: Assets,
        book: AssetBook,
        owner: Signer | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._site, self._assets, self._book, self._clock = site, assets, book, clock
        self._owner = AssetOwner(site, owner) if owner is not None else None
        self.loop = Loop("grants", self.step, INTERVAL)

    def ask(self, account: Address, asked: AuthorizationAsk) -> Authorization:
        """Take a request of the parent's owner; repeating it is safe.

        Raises
        ------
        ServiceError
            AGREEMENT with all violations, POLICY, NOT_ENTITLED, TOO_MANY, ASSET_UNKNOWN.
        """
        hosted = self._assets.get(asked.child)
        if self._site.documents.record(asked.parent).owner != account:
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "Only the parent's owner asks for a grant to it."
            )
        if (known := self._book.open_authorization(asked.child, asked.parent)) is not None:
            return self._as_it_stands(known)
        found = Authorization(
            id=secrets.token_hex(16),
            child=asked.child,
            parent=asked.parent,
            requester=account,
            note=asked.note,
            state=AuthorizationState.GRANTED,
            asked=int(self._clock()),
        )
        standing = self._standing(found)
        if _holds(standing, found.asked):
            given = {"expiry": standing.expiry, "max_rounds": standing.max_rounds, "standing": True}
            return self._book.add_authorization(found.model_copy(update=given))
        policy.admit(hosted.policy, asked.child, self._book.queue(account))
        self._check_terms(found)
        return self._admitted(found, hosted)

    def _admitted(self, asked: Authorization, hosted: Hosted) -> Authorization:
        state = policy.decide(hosted.policy, asked.requester)
        if state is AuthorizationState.APPROVED and self._owner is None:
            state = AuthorizationState.QUEUED
        own = hosted.policy
        update: dict[str, object] = {"state": state}
        if state is AuthorizationState.APPROVED:
            expiry = self._site.now() + own.expiry if own.expiry else 0
            update |= {"expiry": expiry, "max_rounds": own.max_rounds}
        found = self._book.add_authorization(asked.model_copy(update=update))
        log.info("asked", id=found.id, child=found.child, parent=found.parent, state=found.state)
        self.loop.wake()
        return found

    def get(self, account: Address, id_: str) -> Authorization:
        """Return a request to its requester or the child's owner; raise `ServiceError`."""
        found = self._book.authorization(id_)
        if account not in (found.requester, self._assets.get(found.child).owner):
            raise ServiceError(
                ServiceCode.NOT_ENTITLED, "The account neither asked nor is it asked."
            )
        return self._as_it_stands(found)

    def list(self, account: Address) -> list[Authorization]:
        """Return an account's requests, and those that it is asked for, the newest first."""
        return self._book.authorizations(account, self._assets.owned_by(account))

    def approve(self, account: Address, id_: str, approval: Approval) -> Authorization:
        """Grant a queued request, as the child's owner.

        Raises
        ------
        ServiceError
            NOT_GRANTED when the service has not got the owner's key and the chain no grant.
        """
        found = self._of_owner(account, id_)
        if found.state is AuthorizationState.GRANTED:
            return found
        self._check_terms(found)
        if self._owner is None or self._owner.address != account:
            raise ServiceError(
                ServiceCode.NOT_GRANTED,
                "This service does not hold your key, and the chain holds no such grant.",
            )
        limits = {"expiry": approval.expiry, "max_rounds": approval.max_rounds}
        approved = found.model_copy(update={"state": AuthorizationState.APPROVED, **limits})
        self._book.decide(approved, only=[AuthorizationState.QUEUED])
        self.loop.wake()
        return approved

    def refuse(self, account: Address, id_: str, refusal: Refusal) -> Authorization:
        """Refuse a queued request, as the child's owner; raise `ServiceError`."""
        found = self._of_owner(account, id_)
        why = refusal.why or "The owner has refused."
        refused = found.model_copy(update={"state": AuthorizationState.REFUSED, "why": why})
        return self._book.decide(refused, only=[AuthorizationState.QUEUED])

    def _of_owner(self, account: Address, id_: str) -> Authorization:
        found = self._book.authorization(id_)
        if account != self._assets.get(found.child).owner:
            raise ServiceError(ServiceCode.NOT_ENTITLED, "Only the asset's owner decides.")
        return self._as_it_stands(found)

    def _as_it_stands(self, found: Authorization) -> Authorization:
        """Return a request with what the chain says of it."""
        standing = self._standing(found)
        holds = _holds(standing, int(self._clock()))
        waits = (AuthorizationState.QUEUED, AuthorizationState.APPROVED)
        if holds and found.state in waits:
            given = {
                "state": AuthorizationState.GRANTED,
                "expiry": standing.expiry,
                "max_rounds": standing.max_rounds,
            }
            try:
                found = self._book.decide(found.model_copy(update=given), only=waits)
            except ServiceError:  # whoever grants was faster
                found = self._book.authorization(found.id)
        return found.model_copy(update={"standing": holds})

    def _standing(self, asked: Authorization) -> Grant:
        return self._site.reader.grant(asked.parent, asked.child)

    def _check_terms(self, asked: Authorization) -> None:
        if violations := broken_terms(self._site, asked.child, asked.parent):
            log.info("breaks the terms", child=asked.child, parent=asked.parent)
            raise ServiceError(
                ServiceCode.AGREEMENT,
                "The parent breaks the child's terms.",
                [str(violation) for violation in violations[:MOST_VIOLATIONS]],
            )

    def step(self) -> None:
        """Grant what is approved; what fails for a passing reason is tried again."""
        for asked in self._book.approved():
            if self._owner is None:
                return
            try:
                self._owner.grant(
                    asked.child, asked.parent, expiry=asked.expiry, max_rounds=asked.max_rounds
                )
            except AgreementError as error:
                self._end(asked, "The parent breaks the child's terms.", error)
            except (BadInputError, ContractError) as error:
                self._end(asked, error.message)
            else:
                self._decided(asked, {"state": AuthorizationState.GRANTED})
                log.info("granted", id=asked.id, child=asked.child, parent=asked.parent)

    def _end(self, asked: Authorization, why: str, error: AgreementError | None = None) -> None:
        found = [str(v) for v in error.violations[:MOST_VIOLATIONS]] if error else []
        refused = AuthorizationState.REFUSED
        self._decided(asked, {"state": refused, "why": why[:2000], "violations": found})
        log.warning("not granted", id=asked.id, why=why)

    def _decided(self, asked: Authorization, update: dict[str, object]) -> None:
        changed = asked.model_copy(update=update)
        self._book.decide(changed, only=[AuthorizationState.APPROVED, AuthorizationState.GRANTED])

    def close(self) -> None:
        """Stop granting; what is approved is granted at the next start."""
        self.loop.stop()
        if self._owner is not None:
            self._owner.close()


def _holds(grant: Grant, now: int) -> bool:
    return grant.active and not (grant.expiry and grant.expiry <= now)
