"""What an owner without funds signs on the own device, and a relayer sends (EIP-712)."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field

from datatoken.authorization.request import Signature
from datatoken.authorization.view import Network
from datatoken.chain import typed_data
from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.models import MAX_DDO_BYTES, Ddo
from datatoken.ddo.proof import ddo_bytes
from datatoken.errors import BadInputError
from datatoken.signatures import recover_typed
from datatoken.types import Address, Hex32, Model, Seconds, sha256_hex

MAX_SIGNED_BYTES = 2 * MAX_DDO_BYTES
Limit = Annotated[int, Field(ge=0, lt=2**32)]


class SignedMint(Model):
    """The owner's word to have a DT minted; the relayer puts the DDO into the store."""

    type: Literal["mint"] = "mint"
    owner: Address
    ddo: Ddo
    salt: Limit
    deadline: Seconds
    signature: Signature = "0x" + "0" * 130

    def typed_data(self, network: Network) -> Mapping[str, Any]:
        """Return the EIP-712 message."""
        return typed_data.mint(
            network,
            self.owner,
            self.ddo.kind,
            self.ddo.proof,
            sha256_hex(ddo_bytes(self.ddo)),
            self.deadline,
            self.ddo.children,
            self.salt,
        )


class SignedGrant(Model):
    """The owner's word to grant `child` to `parent`; good for one epoch of the slot."""

    type: Literal["grant"] = "grant"
    owner: Address
    child: Hex32
    parent: Hex32
    expiry: Seconds
    max_rounds: Limit
    epoch: Limit
    deadline: Seconds
    signature: Signature = "0x" + "0" * 130

    def typed_data(self, network: Network) -> Mapping[str, Any]:
        """Return the EIP-712 message."""
        return typed_data.grant(
            network,
            self.child,
            self.parent,
            self.expiry,
            self.max_rounds,
            self.epoch,
            self.deadline,
        )


class SignedRevocation(Model):
    """The owner's word to revoke; good for one epoch of the slot."""

    type: Literal["revoke"] = "revoke"
    owner: Address
    child: Hex32
    parent: Hex32
    epoch: Limit
    deadline: Seconds
    signature: Signature = "0x" + "0" * 130

    def typed_data(self, network: Network) -> Mapping[str, Any]:
        """Return the EIP-712 message."""
        return typed_data.revoke(network, self.child, self.parent, self.epoch, self.deadline)


Signed = SignedMint | SignedGrant | SignedRevocation
_TYPES: dict[str, type[SignedMint] | type[SignedGrant] | type[SignedRevocation]] = {
    "mint": SignedMint,
    "grant": SignedGrant,
    "revoke": SignedRevocation,
}


def parse_signed(content: bytes) -> Signed:
    """Parse a signed mint, grant or revocation.

    Raises
    ------
    BadInputError
        One sentence that names the first wrong field.
    """
    plain = parse_json(content, "signed message", MAX_SIGNED_BYTES)
    kind = plain.get("type") if isinstance(plain, dict) else None
    model = _TYPES.get(str(kind))
    if model is None:
        raise BadInputError("The file is no signed mint, grant or revocation.")
    return validate(model, plain, f"signed {kind}")


def check_signature(signed: Signed, network: Network) -> None:
    """Raise `BadInputError` unless the owner signed exactly this."""
    if recover_typed(signed.typed_data(network), signed.signature) != signed.owner:
        raise BadInputError(
            f"The {signed.type} is not signed by {signed.owner} for this chain and registry.",
            "Ask the owner to sign it again.",
        )
