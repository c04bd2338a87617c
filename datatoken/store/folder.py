"""A folder as a store, in flatfs layout: the block store of a Kubo node as it lies on disk.

`blocks/<next-to-last two characters>/<BASE32 multihash>.data`, with the files SHARDING and
_README that flatfs writes (go-ds-flatfs, `/repo/flatfs/shard/v1/next-to-last/2`).
"""

import errno
import os
import stat
import tempfile
import time
from pathlib import Path

from datatoken.errors import LocalEnvironmentError, StoreError
from datatoken.store.cid import cid_of, flatfs_key
from datatoken.types import Hex32, sha256_hex

SHARDING = "/repo/flatfs/shard/v1/next-to-last/2\n"
README = (
    "Blocks of a DataToken store, in the flatfs layout of IPFS: each file is one block,\n"
    "its name the base32 form of the block's multihash, its folder the next-to-last two\n"
    "characters of that name. Do not edit: a block that differs from its name is refused.\n"
)
TEMPORARY = ".temp"
"""Where flatfs, too, writes a block before it is renamed."""

_CHUNK = 256 * 1024


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
        if self._holds(path, digest, len(content)):
            return digest
        try:
            self._prepare()
            target = Path(path)
            if not target.parent.is_dir():
                target.parent.mkdir(exist_ok=True)
                _sync_folder(self._blocks)
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
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.ENOTDIR):
                raise StoreError(
                    f"The store {self.root} does not hold {cid_of(digest)}.",
                    "Ask the publisher for the right store, or copy the block into it.",
                ) from error
            raise StoreError(
                f"The store {self.root} cannot read {cid_of(digest)}: {error.strerror}."
            ) from error
        try:
            found = os.fstat(handle)
            if not stat.S_ISREG(found.st_mode):
                raise StoreError(f"{path} is not a regular file.")
            return _read_bounded(handle, digest, found.st_size, limit, deadline)
        finally:
            os.close(handle)

    def has(self, digest: Hex32) -> bool:
        """Tell whether there is a file for this digest."""
        return Path(self._path(digest)).is_file()

    @staticmethod
    def _holds(path: str, digest: Hex32, size: int) -> bool:
        """Tell whether the block is on disk and undamaged."""
        try:
            found = os.lstat(path)
            if not stat.S_ISREG(found.st_mode) or found.st_size != size:
                return False
            return sha256_hex(Path(path).read_bytes()) == digest
        except OSError:
            return False

    def _prepare(self) -> None:
        """Make the folder with the files of its layout, once."""
        temporary = self._blocks / TEMPORARY
        if self._prepared and temporary.is_dir():
            return
        temporary.mkdir(parents=True, exist_ok=True)
        for name, text in (("SHARDING", SHARDING), ("_README", README)):
            path = self._blocks / name
            if not path.exists():
                self._write_atomically(path, text.encode("ascii"))
        self._prepared = True

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
        _sync_folder(path.parent)


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


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
