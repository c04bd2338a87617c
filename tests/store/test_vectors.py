"""Kubo's published UnixFS vectors (profile unixfs-v1-2025 of IPIP-499).

The CIDs and the way to make the files (ChaCha20 under the seed's sha256) are those of Kubo's
`test/cli/cid_profiles_test.go`.
"""

import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms

from datatoken.store.cid import cid_of
from datatoken.store.unixfs import build_tree

MIB = 1024 * 1024


def keystream(size: int, seed: str) -> bytes:
    key = hashlib.sha256(seed.encode()).digest()
    return Cipher(algorithms.ChaCha20(key, bytes(16)), mode=None).encryptor().update(bytes(size))


def cid_of_file(content: bytes) -> str:
    root = build_tree(content, lambda block: hashlib.sha256(block).digest())
    return cid_of("0x" + root.digest.hex(), root.codec)


@pytest.mark.parametrize(
    ("content", "cid"),
    [
        (b"hello world", "bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e"),
        (
            keystream(MIB, "chunk-v1-seed"),
            "bafkreiacndfy443ter6qr2tmbbdhadvxxheowwf75s6zehscklu6ezxmta",
        ),
        (
            keystream(MIB + 1, "chunk-v1-seed"),
            "bafybeigmix7t42i6jacydtquhet7srwvgpizfg7gjbq7627d35mjomtu64",
        ),
    ],
    ids=["one leaf", "full leaf", "two leaves"],
)
def test_vectors_of_kubo(content: bytes, cid: str) -> None:
    assert cid_of_file(content) == cid


@pytest.mark.slow
@pytest.mark.parametrize(
    ("size", "cid"),
    [
        (1024 * MIB, "bafybeihmf37wcuvtx4hpu7he5zl5qaf2ineo2lqlfrapokkm5zzw7zyhvm"),
        (1024 * MIB + 1, "bafybeibdsi225ugbkmpbdohnxioyab6jsqrmkts3twhpvfnzp77xtzpyhe"),
    ],
    ids=["full node", "two levels"],
)
def test_vectors_of_kubo_with_full_nodes(size: int, cid: str) -> None:
    """Needs 2 GiB of memory."""
    assert cid_of_file(keystream(size, "v1-2025-seed")) == cid
