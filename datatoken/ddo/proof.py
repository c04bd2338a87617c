"""The chain of hashes from a record to its document: proof, dt, DDO digest.

proof = sha256(JCS(metadata)); dt = keccak256(abi.encode(chain id, registry, owner, proof,
children hash, salt)); the chain keeps sha256 of the DDO's JCS bytes, from which the CID
follows (DESIGN, Records).
"""

from collections.abc import Sequence

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.ddo.models import MAX_DDO_BYTES, Ddo, Metadata
from datatoken.types import ZERO32, Address, Hex32, sha256_hex


def proof_of(metadata: Metadata) -> Hex32:
    """Return sha256(JCS(metadata))."""
    return sha256_hex(canonical_bytes(Metadata(services=metadata.services)))


def children_hash(children: Sequence[Hex32]) -> Hex32:
    """Return keccak256 of the concatenated child DTs; 32 zero bytes for a leaf."""
    if not children:
        return ZERO32
    return "0x" + keccak(b"".join(bytes.fromhex(child[2:]) for child in children)).hex()


def dt_of(
    chain_id: int,
    registry: Address,
    owner: Address,
    proof: Hex32,
    children: Sequence[Hex32],
    salt: int,
) -> Hex32:
    """Return the DT of a metadata document, as `DataTokenRegistry.dtOf` computes it."""
    packed = encode(
        ["uint256", "address", "address", "bytes32", "bytes32", "uint32"],
        [
            chain_id,
            registry,
            owner,
            bytes.fromhex(proof[2:]),
            bytes.fromhex(children_hash(children)[2:]),
            salt,
        ],
    )
    return "0x" + keccak(packed).hex()


def make_ddo(
    metadata: Metadata, chain_id: int, registry: Address, owner: Address, salt: int = 0
) -> Ddo:
    """Complete `metadata` to the DDO that `owner` can mint on this registry."""
    proof = proof_of(metadata)
    dt = dt_of(chain_id, registry, owner, proof, metadata.children, salt)
    return Ddo(dt=dt, proof=proof, services=metadata.services)


def ddo_bytes(ddo: Ddo) -> bytes:
    """Return the bytes that are stored: the DDO's JCS.

    Raises
    ------
    BadInputError
        When they are more than 256 KiB.
    """
    content = canonical_bytes(ddo)
    parse_ddo(content)
    return content


def parse_ddo(content: bytes) -> Ddo:
    """Parse stored bytes; raise `BadInputError` unless they are a canonical, valid DDO."""
    return parse_document(Ddo, content, "DDO", MAX_DDO_BYTES)
