"""A real IPFS node over its RPC API, with both clients. Acceptance: 22."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.errors import StoreError
from datatoken.store import Limits, VerifyingStore, open_store
from datatoken.store.cid import flatfs_key
from datatoken.types import sha256_hex
from tests.support.ipfs_rpc import ipfs_node

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ipfs") / "repo"


@pytest.fixture(scope="module")
def url(repo: Path) -> Iterator[str]:
    """The address of a node's RPC API."""
    with ipfs_node(repo) as address:
        yield address


@pytest.fixture(params=["", "ipfshttpclient+"], ids=["own", "ipfshttpclient"])
def store(request: pytest.FixtureRequest, url: str) -> VerifyingStore:
    return open_store(request.param + url, Limits(seconds=5))


@pytest.mark.parametrize("size", [0, 11, 4096, 1024 * 1024])
def test_block_goes_in_and_comes_out(store: VerifyingStore, size: int) -> None:
    content = os.urandom(size)

    digest = store.put(content)

    assert digest == sha256_hex(content)
    assert store.has(digest)
    assert store.get(digest) == content
    assert store.put(content) == digest


def test_file_of_several_blocks(store: VerifyingStore) -> None:
    content = os.urandom(3 * 1024 * 1024 + 17)

    assert store.get_file(store.put_file(content)) == content


def test_block_that_nobody_has(store: VerifyingStore) -> None:
    digest = sha256_hex(os.urandom(16))

    assert not store.has(digest)
    with pytest.raises(StoreError):
        store.get(digest)


def test_what_one_client_wrote_the_other_reads(url: str) -> None:
    own, library = open_store(url), open_store(f"ipfshttpclient+{url}")
    content = os.urandom(2000)

    assert library.get(own.put(content)) == content
    assert own.get(library.put(content + b"!")) == content + b"!"


def test_block_changed_on_the_nodes_disk(store: VerifyingStore, repo: Path) -> None:
    """A node serves what lies on its disk, unhashed. Acceptance: 111."""
    digest = store.put(os.urandom(100))
    changed = list(repo.glob(f"blocks/**/{flatfs_key(digest)}.data"))
    assert len(changed) == 1
    changed[0].write_bytes(b"another document")

    with pytest.raises(StoreError, match="other bytes"):
        store.get(digest)
