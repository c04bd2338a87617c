"""Settings: flag > environment > TOML > default; passwords from a file or a prompt only."""

import os
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from typer.main import get_command

from datatoken.chain.signer import Signer
from datatoken.cli.app import app
from datatoken.cli.arguments import moment, scalar
from datatoken.cli.settings import Format, load_settings
from datatoken.errors import BadInputError
from tests.cli.conftest import Cli, Result, call


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("DATATOKEN_")]:
        if name != "DATATOKEN_ANVIL":
            monkeypatch.delenv(name)


def test_flag_before_environment_before_file_before_default(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Default
    assert load_settings({}).keystore is None
    assert load_settings({}).store_address == ".datatoken/store"
    # File: in the state folder, else here, else as named
    (tmp_path / ".datatoken").mkdir()
    (tmp_path / ".datatoken" / "datatoken.toml").write_text('keystore = "folder"')
    assert load_settings({}).keystore == "folder"
    (tmp_path / "datatoken.toml").write_text('keystore = "here"\nformat = "json"')
    assert load_settings({}).keystore == "here"
    assert load_settings({}).format is Format.JSON
    named = tmp_path / "named.toml"
    named.write_text('keystore = "named"')
    assert load_settings({}, named).keystore == "named"
    # Environment
    monkeypatch.setenv("DATATOKEN_KEYSTORE", "environment")
    assert load_settings({}).keystore == "environment"
    # Flag; one that is not given does not count
    assert load_settings({"keystore": "flag"}).keystore == "flag"
    assert load_settings({"keystore": None}).keystore == "environment"


def test_the_command_takes_settings_from_all_three(cli: Cli, tmp_path: Path) -> None:
    # Prepare: the folder by environment, the format by file
    (tmp_path / "datatoken.toml").write_text('format = "json"')
    here = {"DATATOKEN_FOLDER": str(cli.folder)}
    # Execute, Assert
    assert call("status", env=here).json["running"] is True
    assert call("status", "--format", "default", env=here).out.startswith("running")
    assert call("status", env={"DATATOKEN_FOLDER": str(tmp_path / "none")}).json["running"] is False
    config = tmp_path / "other.toml"
    config.write_text(f'folder = "{cli.folder}"\nformat = "json"')
    assert call("status", env={"DATATOKEN_CONFIG": str(config)}).json["running"] is True
    assert call("status", "--config", config).json["running"] is True


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("keystroe = 'a'", "keystroe"),
        ("rpc = [1]", "rpc"),
        ("= 1", "cannot be read"),
        ("folder = 5", "folder"),
    ],
)
def test_wrong_settings_file(tmp_path: Path, content: str, sentence: str) -> None:
    (tmp_path / "datatoken.toml").write_text(content)
    result = call("status", "--format", "json")
    assert (result.code, result.error["code"]) == (3, "BAD_INPUT")
    assert sentence in result.error["message"]


def test_settings_file_that_is_not_there() -> None:
    with pytest.raises(BadInputError, match="cannot be read"):
        load_settings({}, Path("nowhere.toml"))


def test_no_command_takes_a_password_or_key_on_its_command_line() -> None:
    """Threat: secret in a log."""

    def walk(command: click.Command) -> list[str]:
        inner = command.commands.values() if isinstance(command, click.Group) else []
        own = [option for parameter in command.params for option in parameter.opts]
        return [*own, *(option for one in inner for option in walk(one))]

    options = set(walk(get_command(app)))
    assert "--password-file" in options and "--keystore" in options
    assert not options & {"--password", "--key", "--private-key", "--secret", "--mnemonic"}


def test_password_from_a_prompt(cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    # Prepare: a terminal, and no password file
    import datatoken.cli.session as session

    asked: list[str] = []
    answers = ["right", "right", "right", "wrong", "one", "two"]

    def answer(prompt: str, _stream: object) -> str:
        asked.append(prompt)
        return answers.pop(0)

    class Terminal:
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(session.getpass, "getpass", answer)
    monkeypatch.setattr(session.sys, "stdin", Terminal())
    key = tmp_path / "prompted.json"
    # Execute, Assert: created by typing twice, opened by typing once
    folder = tmp_path / "state"
    assert call("key", "create", key, "--light", folder=folder).code == 0
    shared = (
        "--deployment", cli.folder / "deployment.json", "--store", cli.folder / "store",
        "--keystore", key,
    )  # fmt: skip
    assert call("task", "create", "x", *shared, folder=folder).code == 9  # no coins
    assert call("task", "create", "x", *shared, folder=folder).code == 7
    assert call("key", "create", tmp_path / "b.json", folder=folder).code == 7
    assert not (tmp_path / "b.json").exists()
    assert answers == []
    assert all("Password of" in text or "same again" in text for text in asked)


def test_moments() -> None:
    assert moment(None, 100) == moment("0", 100) == 0
    assert moment("12345", 100) == 12345
    assert moment("2m", 100) == 220
    assert moment("2030-01-31", 0) == moment("2030-01-31T00:00:00+00:00", 0) == 1896048000
    with pytest.raises(BadInputError):
        moment("tomorrow", 0)


def test_scalars_are_read_as_flower_reads_them() -> None:
    assert [scalar(t) for t in ("1", "0.5", "true", '"x"', "x", "[1]", "1e-3")] == [
        1, 0.5, True, "x", "x", "[1]", 0.001,
    ]  # fmt: skip


def test_errors_as_text_and_as_an_object(
    anywhere: Callable[..., Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A wrong option
    usage = anywhere("dt", "show", "--format", "json")
    assert (usage.code, usage.error["code"], usage.error["exit_code"]) == (2, "USAGE", 2)
    assert anywhere("nonsense").code == 2
    assert anywhere("nonsense").out == ""
    # A plain error: one sentence and a hint, nothing on stdout
    plain = anywhere("dt", "list")
    assert plain.code == 3 and plain.out == ""
    assert plain.err.startswith("Error: The deployment file")
    assert "datatoken up" in plain.err
    # The format from the environment or a file counts for errors, too
    assert anywhere("dt", "list", env={"DATATOKEN_FORMAT": "json"}).error["code"] == "BAD_INPUT"
    Path("datatoken.toml").write_text('format = "json"')
    assert anywhere("dt", "list").error["code"] == "BAD_INPUT"
    assert anywhere("dt", "list", "--format", "default").out == ""
    Path("datatoken.toml").unlink()
    # The unexpected: a sentence, not a traceback
    from datatoken.cli import stack

    def fails(_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(stack, "describe", fails)
    broken = anywhere("status", "--format", "json")
    assert (broken.code, broken.error["code"]) == (1, "ERROR")
    assert "RuntimeError: a bug" in broken.err and "Traceback" not in broken.err
    with pytest.raises(RuntimeError):
        anywhere("status", env={"DATATOKEN_DEBUG": "1"})


def test_password_of_a_keystore_is_changed(tmp_path: Path) -> None:
    """The account stays; the old password opens it no longer."""
    # Prepare
    path, old, new = tmp_path / "mine.json", tmp_path / "old", tmp_path / "new"
    old.write_text("first\n")
    new.write_text("second\n")
    address = Signer.create(path, "first", work=2**12).address

    # Execute
    command = ("key", "password", path, "--new-password-file", new)
    done = call(*command, "--password-file", old)
    again = call(*command, "--password-file", old)

    # Assert
    assert (done.code, again.code) == (0, 7)
    assert Signer.from_keystore(path, "second").address == address
    assert path.stat().st_mode & 0o077 == 0
    assert [one.name for one in tmp_path.glob("mine.json*")] == ["mine.json"]
