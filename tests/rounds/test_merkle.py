"""Merkle trees: the vectors of RFC 6962's reference implementation, and properties."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken.rounds import merkle

digests = st.binary(min_size=32, max_size=32).map(lambda content: "0x" + content.hex())
forests = st.lists(digests, max_size=70, unique=True)


def reference_root(leaves: list[bytes]) -> bytes:
    """MTH as RFC 6962, 2.1 writes it: recursive, split at the largest power of two below n."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    split = 1
    while split * 2 < len(leaves):
        split *= 2
    left, right = reference_root(leaves[:split]), reference_root(leaves[split:])
    return hashlib.sha256(b"\x01" + left + right).digest()


def test_empty_tree_is_the_hash_of_nothing() -> None:
    assert merkle.root([]) == "0x" + hashlib.sha256(b"").hexdigest()


@given(forests)
def test_root_is_the_recursion_of_the_rfc(leaves: list[str]) -> None:
    expected = reference_root([bytes.fromhex(leaf[2:]) for leaf in leaves])

    assert merkle.root(leaves) == "0x" + expected.hex()


@given(forests.filter(bool), st.data())
def test_every_leaf_has_a_proof(leaves: list[str], data: st.DataObject) -> None:
    """Acceptance: 107."""
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_proof(leaves, index)

    assert merkle.verify_inclusion(leaves[index], index, len(leaves), path, merkle.root(leaves))
    assert len(path) <= max(len(leaves) - 1, 0).bit_length()


@given(forests.filter(bool), digests, st.data())
def test_forged_inclusion_another_leaf_has_no_proof(
    leaves: list[str], other: str, data: st.DataObject
) -> None:
    index = data.draw(st.integers(0, len(leaves) - 1))
    path = merkle.inclusion_proof(leaves, index)

    proves = merkle.verify_inclusion(other, index, len(leaves), path, merkle.root(leaves))

    assert proves == (other == leaves[index])


@given(forests.filter(lambda leaves: len(leaves) > 1), st.data())
def test_forged_inclusion_position_path_and_size_are_bound(
    leaves: list[str], data: st.DataObject
) -> None:
    size, root = len(leaves), merkle.root(leaves)
    index = data.draw(st.integers(0, size - 1))
    elsewhere = data.draw(st.integers(-2, size + 2).filter(lambda i: i != index))
    path = merkle.inclusion_proof(leaves, index)

    assert not merkle.verify_inclusion(leaves[index], elsewhere, size, path, root)
    assert not merkle.verify_inclusion(leaves[index], index, size, path[:-1], root)
    assert not merkle.verify_inclusion(leaves[index], index, size, [*path, root], root)


def test_a_node_cannot_be_shown_as_a_leaf() -> None:
    leaves = ["0x" + bytes([i] * 32).hex() for i in range(4)]
    inner = merkle.root(leaves[:2])

    assert merkle.root([inner, merkle.root(leaves[2:])]) != merkle.root(leaves)


def test_there_is_no_proof_of_a_leaf_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        merkle.inclusion_proof([merkle.EMPTY_ROOT], 1)
