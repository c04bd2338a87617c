"""An end user: data and keys stay on the own device, a relayer pays for the transactions."""

from datatoken.chain.signer import Signer
from datatoken.ddo.models import Metadata
from datatoken.roles.granting import check_grant, check_owner
from datatoken.roles.owner import sign_delegation
from datatoken.roles.publishing import prepare
from datatoken.roles.review import Review, Reviewed, review
from datatoken.roles.signed import SignedGrant, SignedMint, SignedRevocation
from datatoken.roles.site import Site
from datatoken.rounds.receipts import Delegation
from datatoken.types import Address, AssetKind, Hex32

SIGNATURE_SECONDS = 3600
USER_KINDS = frozenset({AssetKind.DATA, AssetKind.COMPUTE})


class EndUser:
    """Owns DTs without funds: signs mints, grants and revocations, and sends nothing.

    Parameters
    ----------
    site : Site
        Chain and store (read only), and a folder on the own device.
    signer : Signer
        The user's own key.
    """

    def __init__(self, site: Site, signer: Signer) -> None:
        self.site = site
        self.signer = signer

    @property
    def address(self) -> Address:
        """The user's account."""
        return self.signer.address

    def review(self, child: Hex32, parent: Hex32) -> Review:
        """Return what the user should see before granting."""
        return review(self.site, child, parent)

    def sign_mint(
        self, metadata: Metadata, *, salt: int = 0, deadline: int | None = None
    ) -> SignedMint:
        """Sign the minting of a DT after the same checks as `AssetOwner.publish`."""
        ddo, _, _ = prepare(self.site, self.address, metadata, salt, USER_KINDS)
        signed = SignedMint(
            owner=self.address, ddo=ddo, salt=salt, deadline=deadline or self._deadline()
        )
        return signed.model_copy(update={"signature": self._sign(signed)})

    def sign_grant(
        self,
        child: Hex32,
        parent: Hex32,
        *,
        expiry: int = 0,
        max_rounds: int = 0,
        deadline: int | None = None,
    ) -> SignedGrant:
        """Sign a grant after the same checks as `AssetOwner.grant`.

        Raises
        ------
        AgreementError
            With all violations; nothing was signed.
        """
        reviewed = check_grant(self.site, self.address, child, parent, expiry)
        signed = SignedGrant(
            owner=self.address,
            child=child,
            parent=parent,
            expiry=expiry,
            max_rounds=max_rounds,
            epoch=reviewed.standing.epoch,
            deadline=deadline or self._deadline(),
        )
        Reviewed(self.site.folder).remember(reviewed)
        return signed.model_copy(update={"signature": self._sign(signed)})

    def sign_revocation(
        self, child: Hex32, parent: Hex32, *, deadline: int | None = None
    ) -> SignedRevocation:
        """Sign a revocation of the grant as it stands."""
        check_owner(self.site, self.address, child)
        signed = SignedRevocation(
            owner=self.address,
            child=child,
            parent=parent,
            epoch=self.site.reader.grant(parent, child).epoch,
            deadline=deadline or self._deadline(),
        )
        return signed.model_copy(update={"signature": self._sign(signed)})

    def delegate(self, dt: Hex32, node: Address, expiry: int) -> Delegation:
        """Sign that a node's key may sign receipts for an own DT until `expiry`."""
        check_owner(self.site, self.address, dt)
        return sign_delegation(self.site, self.signer, dt, node, expiry)

    def _deadline(self) -> int:
        return self.site.now() + SIGNATURE_SECONDS

    def _sign(self, signed: SignedMint | SignedGrant | SignedRevocation) -> str:
        return self.signer.sign_full(signed.typed_data(self.site.network))
