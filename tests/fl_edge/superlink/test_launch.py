"""The launcher: its order, its refusals, and the command that stands before flwr's own."""

import subprocess
import sys
from pathlib import Path

import pytest

from datatoken.errors import BadInputError
from datatoken.types import sha256_hex
from fl_edge.superlink.launch import SPOOL_VARIABLE, check_extra, write_command
from fl_edge.superlink.settings import Settings

DT = sha256_hex(b"dt")


def settings(folder: Path, **more: object) -> Settings:
    values: dict[str, object] = {
        "dt": DT,
        "deployment": folder / "deployment.json",
        "store": str(folder / "store"),
        "state": folder / "state",
        "keystore": folder / "key.json",
        "password": "a secret",
        "insecure": True,
    }
    return Settings(**(values | more))  # type: ignore[arg-type]


def test_command_line_does_not_load_flwr_before_the_environment_is_stripped() -> None:
    code = "import fl_edge.cli.app, sys; sys.exit('flwr' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_variable_is_the_one_that_the_serverapp_reads() -> None:
    from fl_edge.strategy import spool

    assert spool.SPOOL_VARIABLE == SPOOL_VARIABLE


def test_secret_is_not_in_the_settings_text(tmp_path: Path) -> None:
    assert "a secret" not in repr(settings(tmp_path))
    assert "a secret" not in " ".join(settings(tmp_path).flwr_arguments())


def test_dependencies_are_never_installed_at_run_time(tmp_path: Path) -> None:
    """Acceptance: 103."""
    arguments = settings(tmp_path).flwr_arguments()

    assert "--disable-runtime-dependency-installation" in arguments


@pytest.mark.parametrize(
    "argument",
    [
        "--simulation",
        "--sim",
        "--allow-runtime-dependency-installation",
        "--allow-runtime=1",
        "--allow",
        "--isolation=process",
    ],
)
def test_argument_that_undoes_the_gates_work(argument: str) -> None:
    with pytest.raises(BadInputError, match="does not take"):
        check_extra((argument,))


def test_other_arguments_pass() -> None:
    check_extra(("--database", "state.db", "--log-file=x"))


def test_command_of_ours_starts_our_wrapper(tmp_path: Path) -> None:
    folder = write_command(tmp_path / "bin")

    ended = subprocess.run(
        [str(folder / "flwr-serverapp"), "--help"],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert ended.returncode == 8
    assert SPOOL_VARIABLE in ended.stderr


def test_working_folder_is_no_source_of_modules(tmp_path: Path) -> None:
    (tmp_path / "flwr.py").write_text("print('hijacked')\n")
    folder = write_command(tmp_path / "bin")

    ended = subprocess.run(
        [str(folder / "flwr-serverapp")],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert "hijacked" not in ended.stdout


def test_start_with_missing_files_is_one_sentence(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "from fl_edge.cli.app import main; main()", "superlink"]
    command += ["--dt", DT, "--deployment", str(tmp_path / "none.json"), "--store", "s"]
    command += ["--state", str(tmp_path / "state"), "--keystore", str(tmp_path / "none")]
    (tmp_path / "pw").write_text("x")
    command += ["--password-file", str(tmp_path / "pw"), "--insecure"]

    ended = subprocess.run(command, capture_output=True, text=True, check=False)

    assert ended.returncode == 3
    assert "Traceback" not in ended.stderr
    assert "none.json" in ended.stderr


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--dt", "0x12", "--insecure"], "64 lower-case hex digits"),
        (["--dt", DT], "--insecure"),
        (["--dt", DT, "--insecure", "--ssl-certfile", "x"], "--insecure"),
        (["--dt", DT, "--ssl-certfile", "x"], "three certificate files"),
    ],
)
def test_contradictory_options(tmp_path: Path, more: list[str], said: str) -> None:
    command = [sys.executable, "-c", "from fl_edge.cli.app import main; main()", "superlink"]
    command += ["--deployment", "d", "--store", "s", "--state", "t", "--keystore", "k", *more]

    ended = subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)

    assert ended.returncode == 3
    assert said in ended.stderr
