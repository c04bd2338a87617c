"""A folder as a store, in flatfs layout: the block store of a Kubo node as it lies on disk.

`blocks/<next-to-last two characters>/<BASE32 multihash>.data`, with the files SHARDING and
_README that flatfs writes (go-ds-flatfs, `/repo/flatfs/shard/v1/next-to-last/2`).
"""

import errno
import os
import stat
import tempfile
import time
from contextlib import suppress
from pathlib import Path

from datatoken.errors import LocalEnvironmentError, StoreError
from datatoken.store.cid import cid_of, flatfs_key
from datatoken.text import clean
from datatoken.types import Hex32, sha256_hex

SHARDING = "/repo/flatfs/shard/v1/next-to-last/2\n"
README = (
    "Blocks of a DataToken store, in the flatfs layout of IPFS: each file is one block,\n"
    "its name the base32 form of the block's multihash, its folder the next-to-last two\n"
    "characters of that name. Do not edit: a block that differs from its name is refused.\n"
)
TEMPORARY = ".temp"
"""Where flatfs, too, writes a block before it is renamed."""

_ONLY = (
    f"This version knows {SHARDING.split('/v1/')[1].strip()} only: "
    "name the URL of the node's RPC API as the store, or another folder."
)
_READING = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 256 * 1024
_STALE = 3600.0
"""Seconds after which what is in .temp belongs to a writer that was killed."""
_SETTLED = 300.0
"""Seconds after which a system has long written to the disk what nobody synced."""


class FolderStore:
    """Blocks in a folder; written atomically and to the disk before `put` returns.

    Parameters
    ----------
    root : Path
        Folder; made with the first block.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._blocks = root / "blocks"
        self._prepared = False

    def _path(self, digest: Hex32) -> str:  # a string, because a Path costs as much as the read
        key = flatfs_key(digest)
        return f"{self._blocks}/{key[-3:-1]}/{key}.data"

    def put(self, content: bytes) -> Hex32:
        """Keep a block; one that is there already is compared, and replaced if damaged."""
        digest = sha256_hex(content)
        path = self._path(digest)
        try:
            if self._holds(path, digest, len(content)):
                return digest
            self._prepare()
            target = Path(path)
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                _sync(self._blocks)
            self._write_atomically(target, content)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The store folder {self.root} is not writable: {error.strerror}.",
                "Choose another folder, or correct its permissions.",
            ) from error
        return digest

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        """Return the bytes under this digest, unhashed; see `Store.get`."""
        path = self._path(digest)
        try:
            # Neither a link out of the folder nor a pipe that never ends is followed.
            handle = os.open(path, _READING | os.O_NOFOLLOW)
        except OSError as error:
            raise self._unread(digest, error) from error
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f"{path} is not a regular file.")
            return _read_bounded(handle, digest, found.st_size, limit, deadline)
        finally:
            os.close(handle)

    def _unread(self, digest: Hex32, error: OSError) -> StoreError:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            return StoreError(
                f"The store {self.root} cannot read {cid_of(digest)}: {error.strerror}."
            )
        with suppress(OSError):
            if other := self._other_layout():
                return StoreError(
                    f"The store {self.root} cannot be read: its SHARDING is {other}.", _ONLY
                )
        return StoreError(
            f"The store {self.root} does not hold {cid_of(digest)}.",
            "Ask the publisher for the right store, or copy the block into it.",
        )

    def has(self, digest: Hex32) -> bool:
        """Tell whether there is a file for this digest."""
        return Path(self._path(digest)).is_file()

    def _holds(self, path: str, digest: Hex32, size: int) -> bool:
        """Tell whether the block is there, undamaged; if so, it is on the disk.

        Another writer may have renamed it a moment ago, and not yet synced its folder.
        """
        try:
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            if sha256_hex(Path(path).read_bytes()) != digest:
                return False
        except OSError:
            return False
        if time.time() - found.st_ctime < _SETTLED:
            for written in (path, path.rpartition("/")[0], self._blocks):
                _sync(written)
        return True

    def _prepare(self) -> None:
        """Make the folder with the files of its layout, once."""
        temporary = self._blocks / TEMPORARY
        if self._prepared and temporary.is_dir():
            return
        if other := self._other_layout():
            raise LocalEnvironmentError(
                f"Nothing is written to the store folder {self.root}: its SHARDING is {other}.",
                _ONLY,
            )
        _make_folders(temporary)  # root/blocks/.temp
        for name, text in (("SHARDING", SHARDING), ("_README", README)):
            path = self._blocks / name
            if not path.exists():
                self._write_atomically(path, text.encode("ascii"))
        _remove_stale(temporary)
        self._prepared = True

    def _other_layout(self) -> str | None:
        """Return the function by which the folder's blocks are placed, unless it is ours."""
        try:
            handle = os.open(self._blocks / "SHARDING", _READING)
        except (FileNotFoundError, NotADirectoryError):
            return None
        try:
            found = os.read(handle, 200).decode("ascii", "replace").strip()
        finally:
            os.close(handle)
        return None if found == SHARDING.strip() else clean(found) or "empty"

    def _write_atomically(self, path: Path, content: bytes) -> None:
        """Write elsewhere, to the disk, then rename: a crash leaves the old or the new."""
        handle, name = tempfile.mkstemp(dir=self._blocks / TEMPORARY, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fchmod(handle, 0o644)
                os.fsync(handle)
            Path(name).replace(path)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
        _sync(path.parent)


def _sync(path: str | Path) -> None:
    """Have a file, or the names in a folder, written to the disk."""
    handle = os.open(path, _READING)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _make_folders(path: Path) -> None:
    """Make a folder and those above it; each is on the disk when this returns."""
    missing = [path]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for folder in reversed(missing):
        folder.mkdir(exist_ok=True)
    # Three at least: another writer may have made them, and not yet synced.
    for folder in reversed([*missing, *path.parents[:2]]):
        with suppress(PermissionError):  # a folder whose names one may not list
            _sync(folder.parent)


def _remove_stale(temporary: Path) -> None:
    """Remove what killed writers have left behind; what Kubo writes has other names."""
    for path in temporary.glob("*.tmp"):
        with suppress(OSError):
            if time.time() - path.lstat().st_mtime > _STALE:
                path.unlink()


def _read_bounded(
    handle: int, digest: Hex32, expected: int, limit: int, deadline: float | None
) -> bytes:
    parts: list[bytes] = []
    chunk = min(max(expected, 1), _CHUNK)
    size = 0
    while True:
        if deadline is not None and time.monotonic() > deadline:
            raise StoreError(f"The store did not deliver {cid_of(digest)} in time.")
        try:
            part = os.read(handle, min(chunk, limit - size + 1))
        except OSError as error:
            raise StoreError(
                f"The store cannot read {cid_of(digest)}: {error.strerror}."
            ) from error
        if not part:
            return b"".join(parts)
        size += len(part)
        if size > limit:
            raise StoreError(f"The block {cid_of(digest)} is larger than {limit} bytes.")
        parts.append(part)
