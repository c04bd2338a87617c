"""Publishing a DT: everything is checked first, the store comes second, the mint last."""

from datatoken.ddo.agreement import Violation, composition_violations
from datatoken.ddo.models import Ddo, Metadata
from datatoken.ddo.proof import ddo_bytes, make_ddo
from datatoken.errors import BadInputError
from datatoken.roles.documents import operations_named
from datatoken.roles.errors import CompositionError, contract_refusal
from datatoken.roles.site import Site
from datatoken.types import Address, AssetKind, Hex32

MAX_SALT = 2**32 - 1


def publication_violations(site: Site, metadata: Metadata) -> list[Violation]:
    """Return everything that speaks against publishing `metadata`, at once.

    Children exist and their DDOs verify; operations are registered and not retired; a
    composite's `supported_ops` are what all its children support.
    """
    children = [site.documents.ddo(dt) for dt in site.documents.find(metadata.children)]
    operations = site.documents.usable(operations_named(metadata))
    found: list[Violation] = []
    for violation in composition_violations(metadata, children, operations):
        retired = (
            violation.why == "this operation is not registered"
            and site.contracts.operations.operation(violation.child).retired
        )
        found.append(
            Violation(violation.child, violation.field, "this operation is retired")
            if retired
            else violation
        )
    replaced = metadata.service.extra_params.replaces
    if replaced is not None and not site.documents.find([replaced]):
        found.append(Violation(replaced, "extra_params.replaces", "this DT does not exist"))
    return found


def prepare(
    site: Site,
    owner: Address,
    metadata: Metadata,
    salt: int = 0,
    kinds: frozenset[AssetKind] = frozenset(AssetKind),
) -> tuple[Ddo, bytes, bool]:
    """Return the DDO that `owner` may mint, its bytes, and whether it is minted already.

    Raises
    ------
    BadInputError
        When the kind is not one of `kinds`, or the DDO is too large.
    CompositionError
        With all violations.
    ContractError
        NotParticipant, when the owner may not mint.
    """
    if metadata.kind not in kinds:
        allowed = " or ".join(sorted(kind.name.lower() for kind in kinds))
        raise BadInputError(
            f"This role publishes {allowed} assets, not {metadata.service.type} assets.",
            "Take the role that fits; one account can hold several.",
        )
    if not 0 <= salt <= MAX_SALT:
        raise BadInputError(f"The salt {salt} is not between 0 and {MAX_SALT}.")
    ddo = make_ddo(metadata, site.network.chain_id, site.network.tokens, owner, salt)
    content = ddo_bytes(ddo)
    if site.documents.find([ddo.dt]):
        return ddo, content, True
    if not site.reader.is_participant(owner):
        raise contract_refusal("NotParticipant", account=owner)
    if violations := publication_violations(site, metadata):
        raise CompositionError(violations)
    return ddo, content, False


def published(site: Site, owner: Address, metadata: Metadata, salt: int = 0) -> Hex32 | None:
    """Return the DT of `metadata` when `owner` has minted it, else None."""
    ddo = make_ddo(metadata, site.network.chain_id, site.network.tokens, owner, salt)
    return ddo.dt if site.documents.find([ddo.dt]) else None
