"""``fl-edge gate-proxy``: bad input is one sentence and an exit code, and its end is orderly."""

import base64
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from flwr.proto.fleet_pb2 import DeactivateNodeRequest
from flwr.supernode.fleet_http_connection import http_request_response

from datatoken.errors import BadInputError, ExitCode
from datatoken.ports import free_port
from datatoken.types import sha256_hex
from fl_edge.gate_proxy.keys import read_private_key, read_public_key, read_root_certificates
from fl_edge.supernode.seam import link_of
from tests.fl_edge.gate_proxy.test_covert import SuperLink
from tests.fl_edge.gate_proxy.test_fleet import failing
from tests.fl_edge.harness import BIN, QUIET, Process
from tests.fl_edge.messages.makers import records
from tests.fl_edge.supernode.parts import request
from tests.support.certificates import Authority, node_key

GIVEN = ["--superlink", "127.0.0.1:9", "--dt", "0x" + "ab" * 32, "--node-key", "n.json"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--dt", "0x12"], ExitCode.BAD_INPUT),
        (["--insecure", "--root-certificates", "ca.pem"], ExitCode.BAD_INPUT),
        (["--insecure", "--auth-supernode-private-key", "key"], ExitCode.BAD_INPUT),
        (["--ssl-certfile", "a.pem"], ExitCode.BAD_INPUT),
        (["--supernode-public-key", "key.pub"], ExitCode.BAD_INPUT),
        (["--host", "0.0.0.0"], ExitCode.BAD_INPUT),
        (["--host", "192.0.2.7", "--supernode-public-key", "key.pub"], ExitCode.BAD_INPUT),
        (["--host", "gate", "--ssl-certfile", "a", "--ssl-keyfile", "b"], ExitCode.BAD_INPUT),
        (["--no-such-option"], ExitCode.USAGE),
    ],
)
def test_bad_input_is_one_sentence_and_an_exit_code(
    tmp_path: Path, more: list[str], code: ExitCode
) -> None:
    found = subprocess.run(
        [str(BIN / "fl-edge"), "gate-proxy", *GIVEN, "--delegation", "d.json", *more],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, **QUIET},
    )

    assert (found.returncode, found.stdout) == (code, "")
    assert "Traceback" not in found.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_network_on_which_nobody_else_is(tmp_path: Path) -> None:
    """Said so, another host passes this check; what ends it is the missing deployment.json."""
    command = [str(BIN / "fl-edge"), "gate-proxy", *GIVEN, "--delegation", "d.json"]
    found = subprocess.run(
        [*command, "--host", "0.0.0.0", "--inner-network"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
        env={**os.environ, **QUIET},
    )

    assert found.returncode != ExitCode.OK
    assert "would be the SuperNode" not in found.stderr


def test_keys_of_supernodes(tmp_path: Path) -> None:
    private, public = node_key(tmp_path, "node")
    (tmp_path / "none").write_text("no key")

    assert read_private_key(private).curve.name == "secp384r1"
    assert read_public_key(public).startswith(b"-----BEGIN PUBLIC KEY")
    for wrong in (tmp_path / "none", tmp_path / "nowhere"):
        with pytest.raises(BadInputError):
            read_private_key(wrong)
        with pytest.raises(BadInputError):
            read_public_key(wrong)


def test_a_key_with_a_passphrase_is_bad_input(tmp_path: Path) -> None:
    """As `ssh-keygen -N passphrase` writes it: the body is locked by bcrypt and AES."""
    path, _ = node_key(tmp_path, "plain")
    begin, *body, end = path.read_bytes().strip().splitlines()
    rest = base64.b64decode(b"".join(body)).split(b"none\0\0\0\4none\0\0\0\0")[1]
    salt = b"\0\0\0\x10" + os.urandom(16) + b"\0\0\0\x10"
    names = b"\0\0\0\x0aaes256-ctr\0\0\0\6bcrypt" + len(salt).to_bytes(4, "big") + salt
    locked = base64.encodebytes(b"openssh-key-v1\0" + names + rest)
    path.write_bytes(b"\n".join((begin, locked.strip(), end)) + b"\n")

    with pytest.raises(BadInputError, match="has a passphrase"):
        read_private_key(path)


@pytest.mark.parametrize("content", [b"", b"no pem", "é".encode(), b"\0\xff"])
def test_root_certificates_that_are_none_are_bad_input(tmp_path: Path, content: bytes) -> None:
    path, good = tmp_path / "ca.pem", Authority(tmp_path / "authority").ca
    path.write_bytes(content)

    assert read_root_certificates(good) == good.read_bytes()
    for wrong in (path, tmp_path / "nowhere", tmp_path):
        with pytest.raises(BadInputError):
            read_root_certificates(wrong)


# --- the end


@pytest.fixture
def superlink(tmp_path: Path) -> Iterator[SuperLink]:
    (tmp_path / "superlink").mkdir()
    made = SuperLink(tmp_path / "superlink")
    yield made
    made.stop()


@pytest.fixture
def gate(tmp_path: Path, superlink: SuperLink) -> Iterator[tuple[Process, str]]:
    """A gate proxy in a process, and its address."""
    fabs, port = tmp_path / "fabs", str(free_port())
    fabs.write_text(sha256_hex(superlink.real.fab))
    places = [str(tmp_path / "gate"), str(fabs), f"127.0.0.1:{superlink.port}", port]
    command = [sys.executable, "-m", "tests.fl_edge.gate_proxy.gated_proxy", *places]
    process = Process.start("gate", command, tmp_path, {})
    process.wait_for("gate proxy listens")
    yield process, f"127.0.0.1:{port}"
    process.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_proxy_that_is_told_to_stop_goes_off_line(
    superlink: SuperLink, gate: tuple[Process, str], number: signal.Signals
) -> None:
    process, address = gate
    with http_request_response(address, True, None, None, 0, 5):
        process.child.send_signal(number)

        assert process.wait() == ExitCode.OK, process.output
    assert len(superlink.heard(DeactivateNodeRequest)) == 1
    assert "Traceback" not in process.output


def test_a_proxy_whose_superlink_is_away_can_be_stopped(
    superlink: SuperLink, gate: tuple[Process, str]
) -> None:
    """A confirmation waits for the SuperLink, and must not hold up the end."""
    process, address = gate
    asked = request(records())
    superlink.real.deliver(asked)
    with http_request_response(address, True, None, None, 0, 5) as connection:
        node = link_of(connection)
        assert node.receive() is not None
        superlink.stop()
        said = asked.metadata
        confirm = partial(node.confirm, said.run_id, said.message_id)
        waits = threading.Thread(target=failing, args=(confirm,))
        waits.start()
        process.wait_for("no answer of the SuperLink")
        process.child.send_signal(signal.SIGTERM)

        assert process.wait() == ExitCode.OK, process.output
        waits.join()
