"""Backups of state folders: taken while the daemon runs, checked before they are put back.

A backup is a gzip-compressed tar: ``manifest.json`` first, then the files it names with size
and sha256. SQLite files are copied by SQLite's own online backup, so that a copy is of one
moment; locks and temporary files stay out. So do passwords (files with ``password`` in their
name, or ``.pw`` at its end), and the folders of a run that hold rows and shares.
"""

import gzip
import hashlib
import json
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Annotated, BinaryIO

from pydantic import Field, ValidationError

from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.types import Model

MANIFEST = "manifest.json"
FORMAT = "datatoken-backup-1"
SECRET, SECRET_END = "password", ".pw"
ROWS = frozenset({"work", "received", "lists"})
"""Folders of a run, below ``runs``, that hold rows, shares, or the way to them."""
_SQLITE = b"SQLite format 3\0"
_LEFT_OUT = (".lock", "-wal", "-shm", "-journal", ".tmp", ".pid")
_MAX_MANIFEST = 64 * 1024 * 1024
_PART = 1024 * 1024


class Entry(Model):
    """One file of a backup."""

    path: Annotated[str, Field(min_length=1, max_length=4096)]
    size: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    mode: Annotated[int, Field(ge=0, le=0o777)]


class Manifest(Model):
    """What a backup holds, and of which moment it is."""

    format: str = FORMAT
    taken: str
    folder: str
    files: tuple[Entry, ...]


def create(folder: Path, target: Path, *, now: datetime | None = None) -> Manifest:
    """Write a backup of a state folder; a daemon that works in it goes on.

    Parameters
    ----------
    folder : Path
        State folder of a gate, a party, a service or a recorder, or a whole one.
    target : Path
        New file, readable by its owner only: it holds keys (keystores stay encrypted).
    now : datetime, optional
        The moment that is written down.

    Raises
    ------
    BadInputError
        When the folder is not there, or the target is, or lies in the folder.
    LocalEnvironmentError
        When something cannot be read or written.
    """
    if not folder.is_dir():
        raise BadInputError(f"There is no folder {folder}.", "Give the state folder to keep.")
    if target.exists():
        raise BadInputError(f"{target} exists and is not replaced.", "Name a new file.")
    if target.resolve().is_relative_to(folder.resolve()):
        raise BadInputError("A backup cannot lie in the folder that it copies.", "Name another.")
    try:
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=".backup-") as name:
            copied = Path(name) / "files"
            _copy(folder, copied)
            taken = (now or datetime.now(UTC)).isoformat(timespec="seconds")
            files = tuple(_entry(copied, path) for path in _files(copied))
            manifest = Manifest(taken=taken, folder=folder.name, files=files)
            _write(manifest, copied, Path(name) / "backup")
            (Path(name) / "backup").replace(target)
    except (OSError, sqlite3.Error) as error:
        raise LocalEnvironmentError(
            f"The backup of {folder} cannot be written: {error}.",
            "Check permissions and free space; nothing was changed.",
        ) from error
    return manifest


def restore(source: Path, folder: Path) -> Manifest:
    """Put a backup back into a folder that is not there yet, or empty.

    All is unpacked beside the folder and compared with the manifest first.

    Raises
    ------
    BadInputError
        When the file is no backup, was changed, or the folder is in use.
    LocalEnvironmentError
        When something cannot be written.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInputError(
            f"{folder} is not empty; a backup never mixes with what is there.",
            "Move the folder away, or restore into a new one.",
        )
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".restore-") as name:
            unpacked = Path(name) / "files"
            unpacked.mkdir(mode=0o700)
            manifest = _unpack(source, unpacked)
            if folder.exists():
                folder.rmdir()
            unpacked.replace(folder)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The backup cannot be put back into {folder}: {error}.",
            "Check permissions and free space; nothing was changed.",
        ) from error
    return manifest


def read_manifest(source: Path) -> Manifest:
    """Return what a backup says that it holds.

    Raises
    ------
    BadInputError
        When the file is no backup.
    """
    with _opened(source) as archive:
        return _manifest(archive)


def _copy(folder: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for path in _files(folder):
        name = path.relative_to(folder)
        if not left_out(Path(folder.name) / name):
            _copy_file(path, target / name)


def left_out(path: Path) -> bool:
    """Tell whether a file of a state folder stays out: a secret, rows, or what passes."""
    name = path.name.lower()
    if SECRET in name or name.endswith((SECRET_END, *_LEFT_OUT)):
        return True
    folders = path.parts[:-1]
    return "runs" in folders and not ROWS.isdisjoint(folders[folders.index("runs") + 2 :])


def _copy_file(path: Path, copy: Path) -> None:
    """Copy a file; one that the daemon takes away meanwhile was a temporary one."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    try:
        if _is_sqlite(path):
            _copy_database(path, copy)
        else:
            shutil.copyfile(path, copy, follow_symlinks=False)
        copy.chmod(path.stat().st_mode & 0o777)
    except (OSError, sqlite3.Error):
        if path.exists():
            raise
        copy.unlink(missing_ok=True)


def _files(folder: Path) -> list[Path]:
    """Return the regular files below a folder, in the order of their names; no links."""
    found = (path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return sorted(found)


def _is_sqlite(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(_SQLITE)) == _SQLITE


def _copy_database(path: Path, copy: Path) -> None:
    with (
        closing(
            sqlite3.connect(f"{path.absolute().as_uri()}?mode=rw", timeout=30, uri=True)
        ) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)


def _entry(folder: Path, path: Path) -> Entry:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while part := file.read(_PART):
            digest.update(part)
            size += len(part)
    name = path.relative_to(folder).as_posix()
    return Entry(path=name, size=size, sha256=digest.hexdigest(), mode=path.stat().st_mode & 0o777)


def _write(manifest: Manifest, folder: Path, target: Path) -> None:
    content = json.dumps(manifest.model_dump(mode="json"), indent=1).encode()
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(handle, "wb") as file:
        with tarfile.open(fileobj=file, mode="w:gz") as archive:
            first = Path(f"{target}.manifest")
            first.write_bytes(content)
            archive.add(first, MANIFEST)
            for entry in manifest.files:
                archive.add(folder / entry.path, f"files/{entry.path}", recursive=False)
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _opened(source: Path) -> Iterator[tarfile.TarFile]:
    """Open a backup as a stream; what is wrong with it is the file's fault."""
    try:
        with tarfile.open(source, mode="r|gz") as archive:
            yield archive
    except (tarfile.TarError, gzip.BadGzipFile, EOFError, ValidationError, ValueError) as error:
        raise BadInputError(f"{source} is not a backup, or is damaged.") from error
    except FileNotFoundError as error:
        raise BadInputError(f"There is no file {source}.") from error


def _manifest(archive: tarfile.TarFile) -> Manifest:
    member = archive.next()
    content = archive.extractfile(member) if member is not None and member.isreg() else None
    if member is None or content is None or member.name != MANIFEST:
        raise ValueError("no manifest")
    if member.size > _MAX_MANIFEST:
        raise ValueError("manifest too large")
    manifest = Manifest.model_validate_json(content.read())
    if manifest.format != FORMAT or len({one.path for one in manifest.files}) != len(
        manifest.files
    ):
        raise ValueError("another format")
    for entry in manifest.files:
        name = PurePosixPath(entry.path)
        if name.is_absolute() or ".." in name.parts or str(name) != entry.path:
            raise ValueError("a path that leads out of the folder")
    return manifest


def _unpack(source: Path, folder: Path) -> Manifest:
    with _opened(source) as archive:
        manifest = _manifest(archive)
        for entry in manifest.files:  # they stand in this order: nothing else is written
            member = archive.next()
            if member is None or not member.isreg() or member.name != f"files/{entry.path}":
                raise ValueError("other files than the manifest names")
            content = archive.extractfile(member)
            if content is None or member.size != entry.size:
                raise ValueError("another size than the manifest names")
            path = folder / entry.path
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_checked(content, path, entry)
        if archive.next() is not None:
            raise ValueError("more files than the manifest names")
    return manifest


def _write_checked(content: object, path: Path, entry: Entry) -> None:
    stream: BinaryIO = content  # type: ignore[assignment]
    digest = hashlib.sha256()
    with path.open("xb") as file:
        while part := stream.read(_PART):
            digest.update(part)
            file.write(part)
        file.flush()
        os.fsync(file.fileno())
    if digest.hexdigest() != entry.sha256:
        raise ValueError("other bytes than the manifest names")
    path.chmod(entry.mode)
