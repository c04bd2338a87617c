"""Granting: the terms are checked first, and every violation is shown at once."""

from datatoken.authorization.view import Grant
from datatoken.errors import BadInputError
from datatoken.roles.errors import AgreementError, contract_refusal
from datatoken.roles.review import Review, review
from datatoken.roles.site import Site
from datatoken.types import Address, Hex32


def check_grant(
    site: Site,
    owner: Address,
    child: Hex32,
    parent: Hex32,
    expiry: int = 0,
    guarantor: Address | None = None,
) -> Review:
    """Return the review of a grant that `owner` may give.

    Raises
    ------
    ContractError
        NotTokenOwner, when the child is somebody else's.
    AgreementError
        With all violations; a parent that does not name the child is one.
    BadInputError
        When a DT does not exist, or the expiry has passed.
    """
    check_owner(site, owner, child)
    reviewed = review(site, child, parent, guarantor=guarantor)
    if reviewed.violations:
        raise AgreementError(reviewed.violations)
    if expiry and expiry <= site.now():
        raise BadInputError(
            f"The expiry {expiry} (Unix time) lies in the past.", "Choose a later one, or none."
        )
    return reviewed


def check_owner(site: Site, owner: Address, dt: Hex32) -> None:
    """Raise `NotTokenOwner` when a DT is somebody else's, `BadInputError` when there is none."""
    if site.documents.record(dt).owner != owner:
        raise contract_refusal("NotTokenOwner", dt=dt, caller=owner)


def stands(grant: Grant, expiry: int, max_rounds: int) -> bool:
    """Tell whether exactly this grant is active already."""
    return grant.active and (grant.expiry, grant.max_rounds) == (expiry, max_rounds)
