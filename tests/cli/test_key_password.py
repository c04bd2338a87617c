"""``datatoken key password``: the new password opens the key, the old one opens nothing."""

from pathlib import Path

import pytest

from datatoken.chain.signer import Signer
from datatoken.errors import KeystoreError
from datatoken.passwords import read_password
from fl_edge.cli.support import read_password as edge_password
from tests.cli.conftest import Result, call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A state folder in the default layout: one password for the keystores beside it."""
    keys = tmp_path / "state/keys"
    Signer.create(keys / "hospital.json", "old", work=2**12)
    (keys / "password").write_text("old\n")
    (tmp_path / "old").write_text("old\nnot of the password\n")
    (tmp_path / "new").write_text("new\r\n")
    return tmp_path


def change(folder: Path, *given: object, name: str = "hospital") -> Result:
    return call(
        *("key", "password", name, "--new-password-file", folder / "new", "--format", "json"),
        *given,
        folder=folder / "state",
    )


def opens(path: Path, password: str) -> bool:
    try:
        Signer.from_keystore(path, password)
    except KeystoreError:
        return False
    return True


def test_shared_password_is_not_left_behind_in_silence(folder: Path) -> None:
    """It would stop every later command with exit code 7."""
    path = folder / "state/keys/hospital.json"
    before = path.read_bytes()

    result = change(folder)

    assert result.code == 7
    assert "--password-file" in result.err + result.out
    assert path.read_bytes() == before


def test_change_says_that_the_shared_file_is_another(folder: Path) -> None:
    path = folder / "state/keys/hospital.json"

    result = change(folder, "--password-file", folder / "old")

    assert result.code == 0
    assert "holds another password" in result.json["note"]
    assert (opens(path, "new"), opens(path, "old")) == (True, False)
    assert path.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in path.parent.iterdir()) == ["hospital.json", "password"]
    (folder / "state/keys/password").write_text("new\n")
    again = change(folder, "--password-file", folder / "new")
    assert again.code == 0
    assert "note" not in again.json


def test_linked_keystore_keeps_no_file_with_the_old_password(folder: Path) -> None:
    """Threat: whoever knew the old password opens the file that the link led to."""
    real, link = folder / "real/clinic.json", folder / "state/keys/clinic.json"
    Signer.create(real, "old", work=2**12)
    link.symlink_to(real)

    result = change(folder, "--password-file", folder / "old", name="clinic")

    assert result.code == 0
    assert link.is_symlink()
    assert (opens(real, "new"), opens(real, "old")) == (True, False)


def test_keystore_that_can_not_be_replaced(folder: Path) -> None:
    path = folder / "state/keys/hospital.json"
    (path.parent / "hospital.json.new").mkdir()

    result = change(folder, "--password-file", folder / "old")

    assert result.code == 8
    assert opens(path, "old")


def test_one_file_is_one_password_for_all_commands(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_bytes(b"correct horse\r\na comment\n")

    assert read_password(path) == edge_password(path, "it") == "correct horse"


@pytest.mark.parametrize("content", [None, b"\xff\xfe"])
def test_file_that_holds_none(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(KeystoreError, match="password file"):
        edge_password(path, "it")
