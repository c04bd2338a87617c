"""Merkle trees in the shape of RFC 6962 (Certificate Transparency), section 2.1.

Leaves are receipt digests. sha256 is separated into domains by a first byte, so that a node
can never be shown as a leaf: ``0x00`` for leaves, ``0x01`` for nodes.
"""

import hashlib
from collections.abc import Sequence

from datatoken.types import Hex32

_LEAF, _NODE = b"\x00", b"\x01"
EMPTY_ROOT: Hex32 = "0x" + hashlib.sha256(b"").hexdigest()
"""MTH({}) = SHA-256() (RFC 6962, 2.1)."""


def root(leaves: Sequence[Hex32]) -> Hex32:
    """Return the Merkle tree hash of `leaves` (RFC 6962, 2.1).

    Parameters
    ----------
    leaves : sequence of Hex32
        In the tree's order.
    """
    if not leaves:
        return EMPTY_ROOT
    level = [_leaf(leaf) for leaf in leaves]
    # Pairing neighbours and carrying a last odd node up gives the RFC's tree: the left half
    # is then always the largest power of two below n.
    while len(level) > 1:
        level = _parents(level)
    return _hex(level[0])


def inclusion_proof(leaves: Sequence[Hex32], index: int) -> tuple[Hex32, ...]:
    """Return the audit path PATH(m, D[n]) of the leaf at `index` (RFC 6962, 2.1.1).

    Raises
    ------
    IndexError
        When there is no such leaf.
    """
    if not 0 <= index < len(leaves):
        raise IndexError(f"leaf {index} of {len(leaves)}")
    level, path = [_leaf(leaf) for leaf in leaves], []
    while len(level) > 1:
        sibling = index ^ 1
        if sibling < len(level):  # a carried node has no sibling on its level
            path.append(_hex(level[sibling]))
        level, index = _parents(level), index // 2
    return tuple(path)


def verify_inclusion(
    leaf: Hex32, index: int, size: int, path: Sequence[Hex32], expected: Hex32
) -> bool:
    """Tell whether `path` proves `leaf` at `index` of a tree with `size` leaves.

    The algorithm of RFC 9162, 2.1.3.2, which RFC 6962 only describes; its letters are kept.

    Parameters
    ----------
    leaf, expected : Hex32
        The leaf, and the root that it must lead to.
    """
    if not 0 <= index < size:  # 1.
        return False
    fn, sn = index, size - 1  # 2.
    r = _leaf(leaf)  # 3.
    for sibling in path:  # 4.
        p = bytes.fromhex(sibling[2:])
        if sn == 0:  # 4a. the path is longer than the tree is high
            return False
        if fn & 1 or fn == sn:  # 4b.
            r = _node(p, r)
            while not fn & 1 and fn != 0:  # a carried node skips the levels without sibling
                fn, sn = fn >> 1, sn >> 1
        else:
            r = _node(r, p)
        fn, sn = fn >> 1, sn >> 1  # 4c.
    return sn == 0 and _hex(r) == expected  # 5.


def _parents(level: list[bytes]) -> list[bytes]:
    above = [_node(level[i], level[i + 1]) for i in range(0, len(level) - 1, 2)]
    return [*above, level[-1]] if len(level) % 2 else above


def _leaf(digest: Hex32) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d)."""
    return hashlib.sha256(_LEAF + bytes.fromhex(digest[2:])).digest()


def _node(left: bytes, right: bytes) -> bytes:
    """MTH(D[n]) = SHA-256(0x01 || MTH(D[0:k]) || MTH(D[k:n]))."""
    return hashlib.sha256(_NODE + left + right).digest()


def _hex(content: bytes) -> Hex32:
    return "0x" + content.hex()
