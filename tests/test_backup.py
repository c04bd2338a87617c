"""Backups of state folders: of one moment, checked, and never mixed with what is there."""

import io
import json
import os
import sqlite3
import tarfile
import tempfile
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken import backup
from datatoken.errors import BadInputError
from datatoken.store import open_store
from tests.cli.conftest import call


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A folder as daemons leave it."""
    folder = tmp_path / "state"
    (folder / "keys").mkdir(parents=True)
    (folder / "keys/node.json").write_text('{"crypto": {}}')
    (folder / "keys/node.json").chmod(0o600)
    (folder / "keys/password").write_text("secret")
    (folder / "receipts.lock").write_text("")
    (folder / "spool").mkdir()
    (folder / "spool/round-1.json").write_bytes(b"\0" * 3_000_000)
    database = sqlite3.connect(folder / "history.sqlite")
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("CREATE TABLE pairs (a INTEGER, b INTEGER)")
    database.execute("INSERT INTO pairs VALUES (1, 1)")
    database.commit()
    database.close()
    return folder


def test_what_was_kept_comes_back(state: Path, tmp_path: Path) -> None:
    kept, back = tmp_path / "kept.backup", tmp_path / "back"

    backup.create(state, kept)
    backup.restore(kept, back)

    assert kept.stat().st_mode & 0o077 == 0
    names = sorted(path.relative_to(back).as_posix() for path in back.rglob("*") if path.is_file())
    assert names == ["history.sqlite", "keys/node.json", "spool/round-1.json"]
    assert (back / "keys/node.json").stat().st_mode & 0o777 == 0o600
    assert (back / "spool/round-1.json").read_bytes() == b"\0" * 3_000_000
    with sqlite3.connect(back / "history.sqlite") as database:
        assert database.execute("SELECT * FROM pairs").fetchall() == [(1, 1)]
    assert not list(tmp_path.glob(".backup-*")) + list(tmp_path.glob(".restore-*"))


SECRETS = ("owner-password", "node-password", "password.txt", "Password", "node.pw")
PRIVATE = ("work/rows.csv", "work/out/share", "received/x", "lists/sent-ab.json")


def test_neither_passwords_nor_rows_are_kept(state: Path, tmp_path: Path) -> None:
    """Threat: a backup is given away with what its owner was told is not in it."""
    for name in SECRETS:
        (state / name).write_text("hunter2")
    for run in ("runs/ab", "runs/0x12/ab"):
        for name in (*PRIVATE, "status.json", "results/weights.npz"):
            path = state / run / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("id,age")

    manifest = backup.create(state, tmp_path / "kept.backup")

    names = {entry.path for entry in manifest.files}
    assert names == {
        "history.sqlite",
        "keys/node.json",
        "spool/round-1.json",
        *(f"{run}/{name}" for run in ("runs/ab", "runs/0x12/ab") for name in
          ("status.json", "results/weights.npz")),
    }  # fmt: skip


def test_work_that_is_no_run_is_kept(tmp_path: Path) -> None:
    (tmp_path / "work/received").mkdir(parents=True)
    (tmp_path / "work/received/receipt.json").write_text("{}")

    manifest = backup.create(tmp_path / "work", tmp_path / "kept.backup")

    assert [entry.path for entry in manifest.files] == ["received/receipt.json"]


def test_files_that_pass_while_it_copies(state: Path, tmp_path: Path) -> None:
    """A daemon writes a temporary file and renames it, many times a second."""
    stop = threading.Event()

    def write() -> None:
        while not stop.is_set():
            handle, name = tempfile.mkstemp(dir=state, prefix="seen.json")
            os.close(handle)
            Path(name).replace(state / "seen.json")

    for number in range(300):
        (state / f"a{number}").write_text("x")
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(10):
            backup.create(state, tmp_path / f"{number}.backup")
    finally:
        stop.set()
        writer.join()


def test_copy_while_a_daemon_writes_is_of_one_moment(state: Path, tmp_path: Path) -> None:
    """Each transaction writes two rows of one table: no copy holds half a transaction."""
    stop, path = threading.Event(), state / "history.sqlite"

    def write() -> None:
        database = sqlite3.connect(path, timeout=30)
        number = 1
        while not stop.is_set():
            number += 1
            database.execute("INSERT INTO pairs VALUES (?, ?)", (number, 0))
            database.execute("UPDATE pairs SET b = a WHERE a = ?", (number,))
            database.commit()
        database.close()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(5):
            backup.create(state, tmp_path / f"{number}.backup")
    finally:
        stop.set()
        writer.join()

    for number in range(5):
        backup.restore(tmp_path / f"{number}.backup", tmp_path / f"back-{number}")
        with sqlite3.connect(tmp_path / f"back-{number}/history.sqlite") as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert database.execute("SELECT count(*) FROM pairs WHERE a != b").fetchone() == (0,)


def rewritten(source: Path, change: Callable[[dict[str, bytes]], object]) -> Path:
    """Return a copy of a backup whose members were changed."""
    members: dict[str, bytes] = {}
    with tarfile.open(source) as archive:
        for member in archive:
            content = archive.extractfile(member)
            members[member.name] = content.read() if content is not None else b""
    change(members)
    changed = source.with_suffix(".changed")
    with tarfile.open(changed, "w:gz") as archive:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return changed


def swap_bytes(members: dict[str, bytes]) -> None:
    members["files/keys/node.json"] = b'{"crypto": []}'


def add_file(members: dict[str, bytes]) -> None:
    members["files/extra"] = b"x"


def drop_file(members: dict[str, bytes]) -> None:
    del members["files/keys/node.json"]


def lead_out(members: dict[str, bytes]) -> None:
    manifest = json.loads(members["manifest.json"])
    manifest["files"][0]["path"] = "../outside"
    members["manifest.json"] = json.dumps(manifest).encode()


def other_format(members: dict[str, bytes]) -> None:
    manifest = json.loads(members["manifest.json"])
    manifest["format"] = "datatoken-backup-2"
    members["manifest.json"] = json.dumps(manifest).encode()


@pytest.mark.parametrize("change", [swap_bytes, add_file, drop_file, lead_out, other_format])
def test_changed_backup_is_refused(
    state: Path, tmp_path: Path, change: Callable[[dict[str, bytes]], object]
) -> None:
    """Threat: a backup that was tampered with, or that writes outside its folder."""
    backup.create(state, tmp_path / "kept.backup")
    changed = rewritten(tmp_path / "kept.backup", change)

    with pytest.raises(BadInputError):
        backup.restore(changed, tmp_path / "back")

    assert not (tmp_path / "back").exists()
    assert not (tmp_path / "outside").exists()


@pytest.mark.parametrize("content", [b"", b"no backup", b"\x1f\x8b\x08\0\0\0\0\0"])
def test_file_that_is_no_backup(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)

    with pytest.raises(BadInputError):
        backup.restore(tmp_path / "file", tmp_path / "back")


def test_cut_off_backup(state: Path, tmp_path: Path) -> None:
    backup.create(state, tmp_path / "kept.backup")
    content = (tmp_path / "kept.backup").read_bytes()
    (tmp_path / "kept.backup").write_bytes(content[: len(content) // 2])

    with pytest.raises(BadInputError):
        backup.restore(tmp_path / "kept.backup", tmp_path / "back")

    assert not (tmp_path / "back").exists()


def test_link_out_of_the_folder_is_not_followed(state: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_text("not of this folder")
    (state / "link").symlink_to(tmp_path / "elsewhere")

    manifest = backup.create(state, tmp_path / "kept.backup")

    assert "link" not in {entry.path for entry in manifest.files}


def test_nothing_is_overwritten(state: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.backup"
    backup.create(state, kept)

    with pytest.raises(BadInputError, match="not empty"):
        backup.restore(kept, state)
    with pytest.raises(BadInputError, match="exists"):
        backup.create(state, kept)
    with pytest.raises(BadInputError, match="lie in"):
        backup.create(state, state / "kept.backup")


def test_commands(state: Path, tmp_path: Path) -> None:
    kept, back = tmp_path / "kept.backup", tmp_path / "back"

    assert call("backup", state, "--to", kept, "--format", "json").json["files"] == 3
    assert call("restore", kept, "--to", back).code == 3  # nobody to ask, and no --yes
    assert call("restore", kept, "--to", back, "--yes", "--format", "json").json["files"] == 3
    assert call("restore", kept, "--to", back, "--yes").code == 3


def test_store_in_a_folder_gives_the_same_bytes_again(tmp_path: Path) -> None:
    """Acceptance: 22."""
    store = open_store(tmp_path / "store")
    digests = {store.put(content): content for content in (b"one", b"two" * 100_000)}

    backup.create(tmp_path / "store", tmp_path / "store.backup")
    backup.restore(tmp_path / "store.backup", tmp_path / "back")

    again = open_store(tmp_path / "back")
    assert {digest: again.get(digest) for digest in digests} == digests
    assert again.get(again.put(b"three")) == b"three"
