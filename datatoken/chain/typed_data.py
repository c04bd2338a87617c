"""EIP-712 messages that a DT's owner signs and anybody may send: mint, grant, revoke."""

from collections.abc import Mapping, Sequence
from typing import Any

from datatoken.authorization.view import Network
from datatoken.chain.contracts import children_hash
from datatoken.signatures import DOMAIN_FIELDS
from datatoken.types import Address, AssetKind, Hex32

TypedData = Mapping[str, Any]
"""A whole EIP-712 message: {types, primaryType, domain, message}."""

_MINT = (
    "address owner,uint8 kind,bytes32 proof,bytes32 ddo,"
    "bytes32 childrenHash,uint16 children,uint32 salt,uint64 deadline"
)
_GRANT = "bytes32 child,bytes32 parent,uint64 expiry,uint32 maxRounds,uint32 epoch,uint64 deadline"
_REVOKE = "bytes32 child,bytes32 parent,uint32 epoch,uint64 deadline"


def _typed(network: Network, primary: str, fields: str, *values: object) -> TypedData:
    pairs = [field.split(" ") for field in fields.split(",")]
    return {
        "types": {
            "EIP712Domain": DOMAIN_FIELDS,
            primary: [{"name": name, "type": kind} for kind, name in pairs],
        },
        "primaryType": primary,
        "domain": {
            "name": "DataToken",
            "version": "1",
            "chainId": network.chain_id,
            "verifyingContract": network.tokens,
        },
        "message": {name: value for (_, name), value in zip(pairs, values, strict=True)},
    }


def mint(
    network: Network,
    owner: Address,
    kind: AssetKind,
    proof: Hex32,
    ddo: Hex32,
    deadline: int,
    children: Sequence[Hex32] = (),
    salt: int = 0,
) -> TypedData:
    """Return what an owner signs to have a DT minted by somebody else."""
    hashed = children_hash(children)
    fields = (owner, int(kind), proof, ddo, hashed, len(children), salt, deadline)
    return _typed(network, "Mint", _MINT, *fields)


def grant(
    network: Network,
    child: Hex32,
    parent: Hex32,
    expiry: int,
    max_rounds: int,
    epoch: int,
    deadline: int,
) -> TypedData:
    """Return what the child's owner signs; `epoch` is the slot's (`Grant.epoch`)."""
    fields = (child, parent, expiry, max_rounds, epoch, deadline)
    return _typed(network, "Grant", _GRANT, *fields)


def revoke(network: Network, child: Hex32, parent: Hex32, epoch: int, deadline: int) -> TypedData:
    """Return what the child's owner signs to revoke; `epoch` is the slot's."""
    return _typed(network, "Revoke", _REVOKE, child, parent, epoch, deadline)
