"""`datatoken recorder` with bad input: one sentence, a documented exit code."""

import json
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken.chain.signer import Signer
from datatoken.errors import ExitCode
from tests.support.recorder import PASSWORD, Governed, Running


@pytest.fixture
def command(governed: Governed, tmp_path: Path) -> Callable[..., tuple[int, str]]:
    """Run the command with some options replaced; return exit code and stderr."""
    keystore, password = tmp_path / "key.json", tmp_path / "password"
    governed.recorder.signer.save(keystore, PASSWORD, work=2**4)
    password.write_text(PASSWORD)
    given = {
        "deployment": str(governed.chain.deployment_path),
        "store": str(governed.store_path),
        "keystore": str(keystore),
        "password-file": str(password),
        "state": str(tmp_path / "state"),
        "folder": str(tmp_path),
        "port": "0",
    }

    def run(**changed: str) -> tuple[int, str]:
        options = given | {name.replace("_", "-"): value for name, value in changed.items()}
        flags = [text for name, value in options.items() for text in (f"--{name}", value)]
        code = "from datatoken.cli.app import main; main()"
        done = subprocess.run(
            [sys.executable, "-c", code, "recorder", *flags],
            capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert "Traceback" not in done.stderr
        assert PASSWORD not in done.stderr + done.stdout
        return done.returncode, done.stderr

    return run


def test_port_in_use(command: Callable[..., tuple[int, str]]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        code, text = command(port=port)

    assert code == ExitCode.ENVIRONMENT
    assert f"127.0.0.1:{port}" in text


def test_two_recorders_on_one_state_folder(
    governed: Governed, recorder: Running, command: Callable[..., tuple[int, str]]
) -> None:
    code, text = command(state=str(recorder.folder / "state"))

    assert code == ExitCode.ENVIRONMENT
    assert "Another recorder" in text
    assert recorder.get("/healthz").status_code == 200


def test_state_folder_that_cannot_be_one(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("x")

    code, text = command(state=str(tmp_path / "file" / "state"))

    assert code == ExitCode.ENVIRONMENT
    assert "state folder" in text


def test_wrong_password(command: Callable[..., tuple[int, str]], tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("wrong")

    assert command(password_file=str(tmp_path / "wrong"))[0] == ExitCode.KEY


def test_chain_out_of_reach_and_wrong_chain(
    governed: Governed, command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    """Acceptance: 111."""
    plain = json.loads(governed.chain.deployment_path.read_text())
    other = tmp_path / "other.json"
    other.write_text(json.dumps(plain | {"chain_id": 20250407, "profile": "platon-dev"}))

    assert command(rpc="http://127.0.0.1:1")[0] == ExitCode.CHAIN_UNREACHABLE
    assert command(deployment=str(other))[0] == ExitCode.CHAIN_UNREACHABLE


def test_auditor_may_read_every_job(
    governed: Governed, tmp_path: Path, start: Callable[..., Running]
) -> None:
    auditor = Signer.random()
    running = start(governed, auditors=[auditor.address])

    assert governed.client(running.url, auditor).documents(governed.job) == []


def test_sigterm_ends_it_with_exit_code_0(
    governed: Governed, start: Callable[..., Running]
) -> None:
    assert start(governed).stop() == 0


def test_certificates_that_are_none(
    command: Callable[..., tuple[int, str]], tmp_path: Path
) -> None:
    (tmp_path / "tls.pem").write_text("no certificate")
    file = str(tmp_path / "tls.pem")

    code, text = command(ssl_certfile=file)
    both_code, both = command(ssl_certfile=file, ssl_keyfile=file)

    assert (code, both_code) == (ExitCode.BAD_INPUT, ExitCode.BAD_INPUT)
    assert "go together" in text
    assert "can't be used" in both
