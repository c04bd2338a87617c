"""A store that lies, floods, drips or nests: refused, nothing is believed."""

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken.errors import BadInputError, StoreError
from datatoken.store import Limits, VerifyingStore, cid_of, open_store
from datatoken.store.cid import Codec, parse_cid
from datatoken.store.limits import MIB
from datatoken.store.unixfs import Link, decode_node, encode_node
from datatoken.types import Hex32, sha256_hex

DIGEST = sha256_hex(b"the right bytes")


class LyingStore:
    """Answers what the test tells it to."""

    def __init__(self, answer: Callable[[int], bytes]) -> None:
        self._answer = answer

    def put(self, content: bytes) -> Hex32:
        return sha256_hex(self._answer(len(content)))

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        return self._answer(limit)

    def has(self, digest: Hex32) -> bool:
        return True


class MemoryStore:
    """Blocks in memory, under whatever digest the test says."""

    def __init__(self) -> None:
        self.blocks: dict[Hex32, bytes] = {}
        self.reads = 0

    def put(self, content: bytes) -> Hex32:
        self.blocks[sha256_hex(content)] = content
        return sha256_hex(content)

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        self.reads += 1
        return self.blocks[digest]

    def has(self, digest: Hex32) -> bool:
        return digest in self.blocks


@pytest.mark.parametrize(
    "content",
    [b"", b"the wrong bytes", b"the right byte", b"the right bytes\n", b"x" * 100],
    ids=["empty", "other", "truncated", "longer", "oversized"],
)
def test_wrong_bytes_for_a_cid(content: bytes) -> None:
    """Acceptance: 21, 111."""
    store = VerifyingStore(LyingStore(lambda limit: content))

    with pytest.raises(StoreError) as refused:
        store.get(DIGEST, 50)

    assert cid_of(DIGEST) in refused.value.message
    assert not store.has(DIGEST)


def test_the_right_bytes() -> None:
    assert VerifyingStore(LyingStore(lambda limit: b"the right bytes")).get(DIGEST, 15)


def test_a_truncated_block_in_the_folder(tmp_path: Path) -> None:
    """Acceptance: 111."""
    store = open_store(tmp_path)
    digest = store.put(b"hello" * 100)
    (path,) = tmp_path.rglob("*.data")
    path.write_bytes(path.read_bytes()[:-1])

    with pytest.raises(StoreError) as refused:
        store.get(digest)

    assert "other bytes" in refused.value.message
    assert not store.has(digest)


def test_oversized_block_is_not_read(tmp_path: Path) -> None:
    """Acceptance: 111."""
    store = open_store(tmp_path)
    digest = store.put(b"x" * 1000)

    with pytest.raises(StoreError) as refused:
        store.get(digest, 999)

    assert "larger than 999 bytes" in refused.value.message
    assert len(store.get(digest, 1000)) == 1000


def test_a_caller_cannot_raise_the_stores_own_limit(tmp_path: Path) -> None:
    store = open_store(tmp_path, Limits(block_bytes=10))
    open_store(tmp_path).put(b"x" * 11)

    with pytest.raises(StoreError):
        store.get(sha256_hex(b"x" * 11), 10**9)
    with pytest.raises(BadInputError):
        store.put(b"x" * 11)
    with pytest.raises(BadInputError):
        open_store(tmp_path, Limits(total_bytes=10)).put_file(b"x" * 11)


def test_a_store_that_names_another_digest() -> None:
    with pytest.raises(StoreError):
        VerifyingStore(LyingStore(lambda size: b"something else")).put(b"content")


@pytest.mark.parametrize("size", [0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB + 5])
def test_files_of_any_size(store: VerifyingStore, size: int) -> None:
    """Acceptance: 22."""
    content = os.urandom(size)

    cid = store.put_file(content)

    assert store.get_file(cid) == content
    assert parse_cid(cid)[0] is (Codec.RAW if size <= MIB else Codec.DAG_PB)
    if size <= MIB:
        assert cid == cid_of(store.put(content))


def test_a_file_of_known_cid(store: VerifyingStore) -> None:
    """Two megabytes of zeros: two links to one block."""
    cid = store.put_file(bytes(2 * MIB))

    zeros = bytes.fromhex(sha256_hex(bytes(MIB))[2:])
    link = Link(Codec.RAW, zeros, MIB, MIB)
    assert parse_cid(cid)[1].hex() == sha256_hex(encode_node([link, link]))[2:]


def _tree(store: MemoryStore, depth: int, width: int) -> str:
    """Return the CID of a tree whose levels all link to one child, `width` times."""
    digest = bytes.fromhex(store.put(b"x")[2:])
    link = Link(Codec.RAW, digest, 1, 1)
    for _ in range(depth):
        block = encode_node([link] * width)
        total = link.file_bytes * width
        link = Link(Codec.DAG_PB, bytes.fromhex(store.put(block)[2:]), total, total)
    return cid_of("0x" + link.digest.hex(), Codec.DAG_PB)


def test_a_small_tree_that_unfolds_to_a_huge_file() -> None:
    """Acceptance: 111."""
    inner = MemoryStore()
    store = VerifyingStore(inner, Limits(blocks=1000))

    with pytest.raises(StoreError):
        store.get_file(_tree(inner, depth=6, width=100))

    assert inner.reads <= 1000


def test_a_tree_that_is_too_deep() -> None:
    """Acceptance: 111."""
    inner = MemoryStore()
    cid = _tree(inner, depth=9, width=1)

    with pytest.raises(StoreError) as refused:
        VerifyingStore(inner).get_file(cid)

    assert "deeper than 8" in refused.value.message
    assert VerifyingStore(inner, Limits(depth=9)).get_file(cid) == b"x"


def test_more_bytes_than_the_caller_accepts(store: VerifyingStore) -> None:
    cid = store.put_file(bytes(2 * MIB))

    with pytest.raises(StoreError):
        store.get_file(cid, 2 * MIB - 1)


def test_dripping_store_ends_at_the_overall_deadline() -> None:
    """Acceptance: 111."""
    inner = MemoryStore()
    cid = _tree(inner, depth=2, width=30)
    original = inner.get

    def slow(digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        time.sleep(0.01)
        return original(digest, limit, deadline)

    inner.get = slow  # type: ignore[method-assign]

    with pytest.raises(StoreError) as refused:
        VerifyingStore(inner, Limits(seconds=0.1)).get_file(cid)

    assert "within 0.1 seconds" in refused.value.message
    assert inner.reads < 900


def test_a_node_whose_sizes_are_wrong() -> None:
    inner = MemoryStore()
    leaf = bytes.fromhex(inner.put(b"xx")[2:])
    root = inner.put(encode_node([Link(Codec.RAW, leaf, 2, 1)]))

    with pytest.raises(StoreError):
        VerifyingStore(inner).get_file(cid_of(root, Codec.DAG_PB))


def test_a_leaf_with_wrong_bytes_below_a_right_root() -> None:
    """Acceptance: 111."""
    inner = MemoryStore()
    store = VerifyingStore(inner)
    cid = store.put_file(os.urandom(MIB + 1))
    small = next(key for key, block in inner.blocks.items() if len(block) == 1)
    inner.blocks[small] = bytes([inner.blocks[small][0] ^ 1])

    with pytest.raises(StoreError):
        store.get_file(cid)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_node_or_refused(block: bytes) -> None:
    """Acceptance: 111."""
    try:
        node = decode_node(block)
    except StoreError:
        return
    assert len(node.links) == len(node.sizes)


@given(st.text(max_size=80))
def test_any_text_is_a_cid_or_refused(text: str) -> None:
    try:
        codec, digest = parse_cid(text)
    except BadInputError:
        return
    assert cid_of("0x" + digest.hex(), codec) == text


@pytest.mark.parametrize(
    "cid",
    [
        "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn",
        "zb2rhe5P4gXftAwvA4eXQ5HJwsER2owDyS9sKaQRRVQPn93bA",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvykU",
        "BAFKREIHDWDCEFGH4DQKJV67UZCMW7OJEE6XEDZDETOJUZJEVTENXQUVYKU",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyk",
        "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku/../x",
    ],
)
def test_cids_of_other_kinds(store: VerifyingStore, cid: str) -> None:
    with pytest.raises(BadInputError):
        store.get_file(cid)
