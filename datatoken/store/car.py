"""CAR archives of one block, for `dag/import`: a node's import defaults cannot change our CIDs.

Source: the CARv1 specification (IPLD).
"""

from datatoken.store.cid import cid_bytes, digest_bytes, varint
from datatoken.types import Hex32


def car_of(digest: Hex32, content: bytes) -> bytes:
    """Return the CAR (version 1) of one raw block, which is its root.

    Parameters
    ----------
    digest : Hex32
        sha256 of `content`.
    """
    cid = cid_bytes(digest_bytes(digest))
    link = b"\xd8\x2a\x58" + bytes([len(cid) + 1]) + b"\x00" + cid  # dag-cbor: tag 42, bytes
    header = b"\xa2\x65roots\x81" + link + b"\x67version\x01"
    return _frame(header) + _frame(cid + content)


def _frame(body: bytes) -> bytes:
    return varint(len(body)) + body
