"""``datatoken up``: a stack that survives, and is refused clearly where it cannot stand."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from datatoken.cli.stack import load_stack
from tests.cli.conftest import Cli, call
from tests.support.chain import wait_until

UP = ("up", "--detach", "--port", 0, "--users", 1)


@pytest.fixture
def made(tmp_path: Path) -> Cli:
    return Cli(tmp_path / "state")


def test_stack_is_there_again_after_a_stop_and_after_a_crash(made: Cli) -> None:
    """Acceptance: 1, 2. Repeating is safe."""
    try:
        # Prepare
        first = made.run(*UP)
        made.run("institution", "add", "a", "Hospital", key="administrator")
        # Execute: again while it runs
        again = made.run(*UP)
        assert (again["pid"], again["url"]) == (first["pid"], first["url"])
        # Execute: stopped, twice, and started on another port
        assert made.run("down") == {"stopped": True}
        assert made.run("down") == {"stopped": False}
        assert made.run("status")["running"] is False
        second = made.run(*UP)
        # Assert: same accounts, same contracts, same institutions
        assert second["accounts"] == first["accounts"]
        assert made.run("institution", "show", "a")["name"] == "Hospital"
        # Execute: killed once the chain's state is on disk (written every second)
        state = made.folder / "chain" / "state.json"
        written = state.stat().st_mtime_ns
        wait_until(lambda: state.stat().st_mtime_ns > written)
        os.kill(second["pid"], signal.SIGKILL)
        wait_until(lambda: made.run("status")["running"] is False)
        made.run(*UP)
        assert made.run("institution", "show", "a") == {
            "account": first["accounts"]["a"],
            "name": "Hospital",
            "active": True,
        }
        assert (
            made.run("institution", "add", "a", "Hospital", key="administrator")["added"] is False
        )
    finally:
        made("down")


def test_new_chain_behind_an_old_deployment_file_is_deployed_anew(made: Cli) -> None:
    try:
        made.run(*UP)
        made.run("down")
        (made.folder / "chain" / "state.json").unlink()
        made.run(*UP)
        assert made.run("institution", "list") == []
        made.run("institution", "add", "a", "Hospital", key="administrator")
    finally:
        made("down")


def test_foreground_stops_its_chain_on_a_signal(made: Cli) -> None:
    command = [sys.executable, "-c", "from datatoken.cli.app import main; main()"]
    arguments = ["up", "--port", "0", "--users", "0", "--folder", str(made.folder)]
    process = subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_until(lambda: (made.folder / "stack.json").is_file(), 60)
        stack = load_stack(made.folder)
        assert stack is not None and stack.running
        assert process.stderr is not None
        assert "Ctrl-C" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        assert not stack.running
    finally:
        process.kill()
        process.communicate()
        made("down")


def test_foreground_says_when_the_chain_ends_by_itself(made: Cli) -> None:
    command = [sys.executable, "-c", "from datatoken.cli.app import main; main()"]
    arguments = ["up", "--port", "0", "--users", "0", "--folder", str(made.folder)]
    process = subprocess.Popen([*command, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        wait_until(lambda: (made.folder / "stack.json").is_file(), 60)
        stack = load_stack(made.folder)
        assert stack is not None
        os.kill(stack.pid, signal.SIGKILL)
        _, text = process.communicate(timeout=30)
        assert process.returncode == 8
        assert "ended by itself" in text
    finally:
        process.kill()
        process.communicate()


def test_port_in_use(made: Cli) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        error = made.refuse(8, "up", "--detach", "--port", port)
    assert str(port) in error["hint"]
    assert not (made.folder / "stack.json").exists()
    assert made.run("status")["running"] is False


def test_folder_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    error = Cli(tmp_path / "file" / "state").refuse(8, *UP)
    assert "not writable" in error["message"]


def test_keys_are_for_their_owner_alone(cli: Cli) -> None:
    """Threat: secret in a log. No key or password is ever printed."""
    keys = cli.folder / "keys"
    for path in keys.iterdir():
        assert path.stat().st_mode & 0o077 == 0
    password = (keys / "password").read_text().strip()
    for arguments in (("status",), ("key", "list"), ("up", "--detach"), ("user", "show", "user-1")):
        result = cli(*arguments)
        assert result.code == 0
        assert password not in result.out + result.err


def test_another_process_under_the_same_pid_is_not_taken_for_the_chain(made: Cli) -> None:
    made.folder.mkdir(parents=True)
    stack = {"pid": os.getpid(), "url": "http://127.0.0.1:1", "state": "nowhere"}
    made.write("stack.json", stack)
    assert made.run("status")["running"] is False
    assert made.run("down") == {"stopped": False}


def test_help_teaches_every_command() -> None:
    import click
    from typer.main import get_command

    from datatoken.cli.app import app

    def walk(command: click.Command, path: tuple[str, ...]) -> None:
        result = call(*path, "--help")
        assert result.code == 0 and "Usage" in result.out
        if isinstance(command, click.Group):
            for name, inner in command.commands.items():
                walk(inner, (*path, name))
        else:
            assert f"datatoken {path[0]}" in (command.help or ""), path
            assert "Example" in (command.help or ""), path

    walk(get_command(app), ())
    assert call("--version").out.startswith("datatoken 0.")
    assert call().code in (0, 2)
