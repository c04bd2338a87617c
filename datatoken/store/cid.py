"""CIDs (version 1, sha2-256, base32): a digest on chain and the path of its bytes.

Sources: the CID and multihash specifications (multiformats).
"""

import base64
import re
from enum import IntEnum

from datatoken.errors import BadInputError
from datatoken.types import Hex32

DIGEST_BYTES = 32
_SHA2_256 = bytes((0x12, DIGEST_BYTES))
_HEX32 = re.compile(r"0x[0-9a-f]{64}")


class Codec(IntEnum):
    """What a block's bytes are: a file's own bytes, or a node of a UnixFS tree."""

    RAW = 0x55
    DAG_PB = 0x70


def digest_bytes(digest: Hex32) -> bytes:
    """Return the 32 bytes of a digest.

    Everything that becomes a path goes through here, so that no digest can leave the store.

    Raises
    ------
    BadInputError
        When it is not 0x and 64 lower-case hex digits.
    """
    if not isinstance(digest, str) or _HEX32.fullmatch(digest) is None:
        raise BadInputError(f"{str(digest)[:80]!r} is not a digest (0x and 64 hex digits).")
    return bytes.fromhex(digest[2:])


def cid_bytes(digest: bytes, codec: Codec = Codec.RAW) -> bytes:
    """Return the binary CID of a digest."""
    return bytes((1, codec)) + _SHA2_256 + digest


def cid_of(digest: Hex32, codec: Codec = Codec.RAW) -> str:
    """Return the CID under which IPFS knows the block with this sha256 digest."""
    return "b" + _base32(cid_bytes(digest_bytes(digest), codec)).lower()


def parse_cid(cid: str) -> tuple[Codec, bytes]:
    """Return codec and digest of a CID in its one canonical form.

    Raises
    ------
    BadInputError
        When it is not a CIDv1 in base32 with sha2-256, raw or dag-pb.
    """
    try:
        if not cid.startswith("b"):
            raise ValueError("not base32")
        content = base64.b32decode(cid[1:].upper() + "=" * (-len(cid[1:]) % 8))
        codec, digest = parse_cid_bytes(content)
    except (ValueError, AttributeError) as error:
        raise BadInputError(
            f"{str(cid)[:80]!r} is not a CID of version 1 with sha2-256.",
            "Turn one of version 0 (Qm…) into one of version 1: ipfs cid base32 CID",
        ) from error
    if cid_of("0x" + digest.hex(), codec) != cid:
        raise BadInputError(f"{cid[:80]!r} is not the canonical form of its CID.")
    return codec, digest


def parse_cid_bytes(content: bytes) -> tuple[Codec, bytes]:
    """Return codec and digest of a binary CID; raise ValueError for any other kind.

    Version 0, a bare multihash, is understood too: Kubo links its nodes by it by default.
    """
    if len(content) == 2 + DIGEST_BYTES and content[:2] == _SHA2_256:
        return Codec.DAG_PB, content[2:]
    if len(content) != 4 + DIGEST_BYTES or content[0] != 1 or content[2:4] != _SHA2_256:
        raise ValueError("not a CID with sha2-256")
    return Codec(content[1]), content[4:]


def digest_of(cid: str) -> Hex32:
    """Return the digest in the CID of a raw block.

    Raises
    ------
    BadInputError
        When it is another kind of CID.
    """
    codec, digest = parse_cid(cid)
    if codec is not Codec.RAW:
        raise BadInputError(f"{cid} names a tree of blocks, not one raw block.")
    return "0x" + digest.hex()


def flatfs_key(digest: Hex32) -> str:
    """Return the name of a block in a flatfs folder: its multihash in base32."""
    return _base32(_SHA2_256 + digest_bytes(digest))


def varint(value: int) -> bytes:
    """Return an unsigned number in the variable-length form of multiformats and protobuf."""
    out = bytearray()
    while True:
        low, value = value & 0x7F, value >> 7
        out.append(low | (0x80 if value else 0))
        if not value:
            return bytes(out)


def _base32(content: bytes) -> str:
    return base64.b32encode(content).decode("ascii").rstrip("=")
