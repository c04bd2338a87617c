"""``fl-edge gate-proxy`` with bad input: one sentence, a documented exit code."""

import os
import subprocess
from pathlib import Path

import pytest

from datatoken.errors import BadInputError, ExitCode
from fl_edge.gate_proxy.uplink import read_private_key, read_public_key
from tests.fl_edge.harness import BIN, QUIET
from tests.support.certificates import node_key

GIVEN = ["--superlink", "127.0.0.1:9", "--dt", "0x" + "ab" * 32, "--node-key", "n.json"]


@pytest.mark.parametrize(
    ("more", "code"),
    [
        (["--dt", "0x12"], ExitCode.BAD_INPUT),
        (["--insecure", "--root-certificates", "ca.pem"], ExitCode.BAD_INPUT),
        (["--insecure", "--auth-supernode-private-key", "key"], ExitCode.BAD_INPUT),
        (["--ssl-certfile", "a.pem"], ExitCode.BAD_INPUT),
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
