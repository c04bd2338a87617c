"""The process that puts shares together: it reads what strangers have left."""

import os
import socket
from pathlib import Path

import pytest

from datatoken.errors import BadInputError, RunFailedError
from rtt_tracer.engines.spu import SpuEngine, opening
from tests.rtt_tracer.engines.driver import PYTHON

pytestmark = pytest.mark.spu

EXPLOIT = """
import json, os, socket, sys
found = []
try:
    found.append(open(sys.argv[1]).read())
except OSError as error:
    found.append(type(error).__name__)
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[2])), 5)
    found.append("connected")
except OSError as error:
    found.append("no way out")
word = {"event": "failed", "code": "X", "message": json.dumps(found)}
os.write(int(os.environ["DATATOKEN_EVENTS"]), json.dumps(word).encode() + b"\\n")
"""


def test_shares_that_are_none_end_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"rank": 0, "field": "FM64"}')
    from_here = Path(os.path.relpath(PYTHON))  # as settings and --spu may name it

    with pytest.raises(RunFailedError, match="can't be opened: SPU could not"):
        SpuEngine(from_here).reconstruct([tmp_path], tmp_path / "out.npz")

    assert not (tmp_path / "out.npz").exists()


def test_shares_that_take_over_the_opener_find_no_key_and_no_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Threat: shares made to break SPU's native code, where keys and rows are."""
    # Prepare
    (tmp_path / "shares").mkdir()
    (tmp_path / "shares/manifest.json").write_text("{}")
    (tmp_path / "keystore.json").write_text("the key")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        command = (str(PYTHON), "-I", "-c", EXPLOIT, str(tmp_path / "keystore.json"), port)
        monkeypatch.setattr(opening, "argv", lambda *_: command)

        # Execute
        with pytest.raises(RunFailedError) as caught:
            SpuEngine(PYTHON).reconstruct([tmp_path / "shares"], tmp_path / "out.npz")

    # Assert
    assert '["FileNotFoundError", "no way out"]' in caught.value.message


@pytest.mark.parametrize("kind", ["pipe", "link"])
def test_share_that_is_no_plain_file(tmp_path: Path, kind: str) -> None:
    """Threat: reading that never ends; a link to what the opener may read."""
    if kind == "pipe":
        os.mkfifo(tmp_path / "manifest.json")
    else:
        (tmp_path / "manifest.json").symlink_to("/etc/hostname")

    with pytest.raises(BadInputError):
        SpuEngine(PYTHON).reconstruct([tmp_path], tmp_path / "out.npz")


def test_opening_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "manifest.json").write_text("{}")
    monkeypatch.setattr(opening, "OPEN_SECONDS", 2.0)
    sleeps = (str(PYTHON), "-I", "-c", "import time; time.sleep(600)")
    monkeypatch.setattr(opening, "argv", lambda *_: sleeps)

    with pytest.raises(RunFailedError, match="within 2 seconds"):
        SpuEngine(PYTHON).reconstruct([tmp_path], tmp_path / "out.npz")
