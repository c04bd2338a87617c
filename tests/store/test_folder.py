"""The folder store: flatfs layout, atomic writes, nothing outside the folder."""

import os
import threading
import time
from pathlib import Path

import pytest

from datatoken.errors import BadInputError, ExitCode, LocalEnvironmentError, StoreError
from datatoken.store import VerifyingStore, cid_of, digest_of, open_store
from datatoken.store.folder import SHARDING, TEMPORARY, FolderStore
from datatoken.types import sha256_hex

# The empty file and "hello" plus newline, as every IPFS node names them.
KNOWN = {
    b"": "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku",
    b"hello": "bafkreibm6jg3ux5qumhcn2b3flc3tyu6dmlb4xa7u5bf44yegnrjhc4yeq",
}


def block_files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*.data"))


@pytest.mark.parametrize("content", list(KNOWN))
def test_the_digest_is_path_and_integrity(tmp_path: Path, content: bytes) -> None:
    """Acceptance: 22."""
    store = open_store(tmp_path)

    digest = store.put(content)

    assert digest == sha256_hex(content)
    assert cid_of(digest) == KNOWN[content]
    assert digest_of(KNOWN[content]) == digest
    assert store.get(digest) == content


def test_the_folder_is_a_flatfs_block_store(tmp_path: Path) -> None:
    """Acceptance: 22."""
    open_store(tmp_path).put(b"hello")

    (path,) = block_files(tmp_path)
    key = path.stem
    assert key.startswith("CIQ")
    assert len(key) == 55
    assert path.parent.name == key[-3:-1]
    assert path.parent.parent == tmp_path / "blocks"
    assert (tmp_path / "blocks" / "SHARDING").read_text() == SHARDING
    assert (tmp_path / "blocks" / "_README").is_file()


def test_putting_twice_is_safe_and_heals_a_damaged_block(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    digest = store.put(b"hello")
    (path,) = block_files(tmp_path)
    before = path.stat().st_mtime_ns
    assert store.put(b"hello") == digest
    assert path.stat().st_mtime_ns == before

    path.write_bytes(b"hellO")
    store.put(b"hello")

    assert store.get(digest) == b"hello"
    assert block_files(tmp_path) == [path]


def test_no_half_written_block_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = open_store(tmp_path)
    store.put(b"first")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(LocalEnvironmentError) as refused:
        store.put(b"second")
    monkeypatch.undo()

    assert "No space left" in refused.value.message
    assert len(block_files(tmp_path)) == 1
    assert not list(tmp_path.rglob("*.tmp"))
    assert not store.has(sha256_hex(b"second"))


def test_folder_not_writable(tmp_path: Path) -> None:
    """Acceptance: 22."""
    (tmp_path / "file").write_text("")
    store = open_store(tmp_path / "file" / "store")

    with pytest.raises(LocalEnvironmentError) as refused:
        store.put(b"hello")

    assert refused.value.exit_code is ExitCode.ENVIRONMENT
    assert "not writable" in refused.value.message


def test_a_missing_block_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError) as refused:
        open_store(tmp_path / "nowhere").get(sha256_hex(b"hello"))

    assert KNOWN[b"hello"] in refused.value.message
    assert refused.value.exit_code is ExitCode.STORE
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    "digest",
    [
        "../../etc/passwd",
        "0x" + "../" * 20 + "abcd",
        "0x" + "AB" * 32,
        "0x" + "ab" * 31,
        "0x" + "ab" * 33,
        "0x" + "ab" * 32 + "\n",
        "",
        None,
        b"ab",
    ],
)
def test_path_traversal_in_a_digest(store: VerifyingStore, digest: str) -> None:
    with pytest.raises(BadInputError):
        store.get(digest)
    with pytest.raises(BadInputError):
        cid_of(digest)


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"hello")
    store = open_store(tmp_path / "store")
    digest = store.put(b"hello")
    (path,) = block_files(tmp_path / "store")
    path.unlink()
    path.symlink_to(secret)

    with pytest.raises(StoreError):
        store.get(digest)


def test_a_pipe_does_not_hold_the_reader(tmp_path: Path) -> None:
    """Acceptance: 111."""
    store = open_store(tmp_path)
    digest = store.put(b"hello")
    (path,) = block_files(tmp_path)
    path.unlink()
    os.mkfifo(path)

    with pytest.raises(StoreError):
        store.get(digest)


def test_two_writers_at_once(tmp_path: Path) -> None:
    contents = [str(number).encode() for number in range(20)]

    def work() -> None:
        store = open_store(tmp_path)
        for content in contents:
            store.put(content)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    store = open_store(tmp_path)
    assert [store.get(sha256_hex(content)) for content in contents] == contents
    assert len(block_files(tmp_path)) == len(contents)


def test_reading_stops_at_the_deadline(tmp_path: Path) -> None:
    digest = open_store(tmp_path).put(b"hello")

    with pytest.raises(StoreError):
        FolderStore(tmp_path).get(digest, 10, time.monotonic() - 1)


@pytest.mark.parametrize(
    "address", ["ipfs://host", "http://127.0.0.1:5001/api/v0", "file://host/x"]
)
def test_addresses_that_are_no_store(address: str) -> None:
    with pytest.raises(BadInputError):
        open_store(address)


def test_a_file_url_opens_the_folder(tmp_path: Path) -> None:
    folder = tmp_path / "with space"
    digest = open_store(folder).put(b"hello")

    assert open_store(folder.as_uri()).get(digest) == b"hello"


def lay_out(root: Path, function: str) -> None:
    """Make a folder of blocks that are placed by another function."""
    (root / "blocks").mkdir(parents=True)
    (root / "blocks" / "SHARDING").write_text(f"/repo/flatfs/shard/v1/{function}\n")


def test_kubo_repository_of_another_layout_is_not_mixed(tmp_path: Path) -> None:
    """Blocks under the wrong names would be found neither by the node nor by others."""
    lay_out(tmp_path, "next-to-last/3")

    with pytest.raises(LocalEnvironmentError, match="next-to-last/3") as refused:
        open_store(tmp_path).put(b"hello")

    assert "next-to-last/2 only" in refused.value.hint
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["SHARDING", "blocks"]


def test_reading_from_another_layout_is_explained(tmp_path: Path) -> None:
    lay_out(tmp_path, "prefix/4\x1b[31m")

    with pytest.raises(StoreError, match="prefix/4") as refused:
        open_store(tmp_path).get(sha256_hex(b"hello"))

    assert "next-to-last/2 only" in refused.value.hint
    assert refused.value.message.isprintable()


def test_kubo_repository_of_the_same_layout_is_used(tmp_path: Path) -> None:
    lay_out(tmp_path, "next-to-last/2")

    assert open_store(tmp_path).get(open_store(tmp_path).put(b"hello")) == b"hello"


def test_what_a_killed_writer_left_is_removed(tmp_path: Path) -> None:
    open_store(tmp_path).put(b"first")
    temporary = tmp_path / "blocks" / TEMPORARY
    for name, age in {"dead.tmp": 7200, "alive.tmp": 60, "temp-of-kubo": 7200}.items():
        (temporary / name).write_bytes(b"half")
        os.utime(temporary / name, (time.time() - age,) * 2)

    open_store(tmp_path).put(b"second")

    assert sorted(path.name for path in temporary.iterdir()) == ["alive.tmp", "temp-of-kubo"]


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> set[int]:
    """Collect the inodes of what is written to the disk."""
    inodes: set[int] = set()
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        inodes.add(os.fstat(descriptor).st_ino)

    monkeypatch.setattr(os, "fsync", fsync)
    return inodes


def test_power_loss_after_the_first_put(tmp_path: Path, synced: set[int]) -> None:
    """Every name on the way to the block is on the disk, that of the store's folder too."""
    root = tmp_path / "new" / "store"

    open_store(root).put(b"hello")

    (path,) = block_files(root)
    on_the_way = [path.parent, root / "blocks", root, root.parent, tmp_path]
    assert [folder for folder in on_the_way if folder.stat().st_ino not in synced] == []
    assert path.stat().st_ino in synced


def test_power_loss_after_a_put_that_another_writer_had_begun(
    tmp_path: Path, synced: set[int]
) -> None:
    """The other one has renamed the block, but has not yet synced its folder."""
    open_store(tmp_path).put(b"hello")
    synced.clear()

    open_store(tmp_path).put(b"hello")

    (path,) = block_files(tmp_path)
    assert {path.stat().st_ino, path.parent.stat().st_ino} <= synced


def test_store_behind_a_link(tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (tmp_path / "store").symlink_to(tmp_path / "disk")

    store = open_store(tmp_path / "store")

    assert store.get(store.put(b"hello")) == b"hello"
    assert store.put(b"hello") == sha256_hex(b"hello")
