"""What the relays of a Rosetta run say to each other, without sockets or Rosetta."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rtt_tracer.engines.relay.words import Meeting, Words, differences
from rtt_tracer.engines.rosetta.inside.child.guardian import Lines, Watch

SAME = {"precision": 16, "parameter learning-rate": 0.5}


class Wire:
    """Keeps what is sent; gives what it was made with."""

    def __init__(self, *chunks: bytes) -> None:
        self.sent: list[dict[str, Any]] = []
        self._chunks = list(chunks)

    def recv(self, size: int, /) -> bytes:
        return self._chunks.pop(0) if self._chunks else b""

    def sendall(self, content: bytes, /) -> None:
        self.sent += [json.loads(line) for line in content.splitlines()]


def meeting(rank: int) -> tuple[Meeting, dict[int, Wire]]:
    """Return a meeting of three where all connections stand."""
    peers = [other for other in range(3) if other != rank]
    made = Meeting(rank, {"same": SAME, "input": rank if rank < 2 else None, "inputs": 2}, peers)
    wires = {other: Wire() for other in peers}
    for other, wire in wires.items():
        assert made.join(other, Words(wire))
    return made, wires


def hello(rank: int, **changed: object) -> dict[str, Any]:
    same = {**SAME, **changed}
    return {"hello": {"same": same, "input": rank if rank < 2 else None, "mask": "ab"}}


def news(made: Meeting) -> list[dict[str, Any]]:
    return [made.news.get_nowait() for _ in range(made.news.qsize())]


def test_all_want_the_same() -> None:
    made, wires = meeting(1)

    made.heard(0, hello(0))
    assert made.lacking == [2]
    assert news(made) == []
    made.heard(2, hello(2))

    assert news(made) == [{"linked": {"inputs": {"0": 0, "1": 1}, "mask": "ab"}}]
    assert all("mask" not in wire.sent[0]["hello"] for wire in wires.values())


@pytest.mark.parametrize("claim", [0, 1, 2])
def test_party_that_claims_the_place_of_another_ones_rows(claim: int) -> None:
    """The one without rows would put its own in the place of a bank's."""
    made, wires = meeting(1)
    made.heard(0, hello(0))
    impostor = hello(2)
    impostor["hello"]["input"] = claim

    made.heard(2, impostor)

    [said] = news(made)
    assert said["failed"] == "PREFLIGHT_MISMATCH"
    assert all(wire.sent[-1] == {"failed": "PREFLIGHT_MISMATCH"} for wire in wires.values())


def test_the_helper_never_hears_the_secret_of_those_who_hold_shares() -> None:
    first, wires = meeting(0)
    helper, _ = meeting(2)

    helper.heard(0, hello(0))
    helper.heard(1, hello(1))

    assert len(bytes.fromhex(wires[1].sent[0]["hello"]["mask"])) == 32
    assert "mask" not in wires[2].sent[0]["hello"]
    assert news(helper)[0]["linked"]["mask"] == ""
    assert first.lacking == [1, 2]


def test_another_learning_rate_is_told_to_everybody() -> None:
    made, wires = meeting(0)

    made.heard(1, hello(1, **{"parameter learning-rate": 0.25}))
    made.heard(2, hello(2))

    assert news(made) == [
        {
            "failed": "PREFLIGHT_MISMATCH",
            "message": "rank 1 has another parameter learning-rate (0.25, not 0.5)",
        }
    ]
    assert all(wire.sent[-1] == {"failed": "PREFLIGHT_MISMATCH"} for wire in wires.values())


def test_a_second_connection_of_a_peer_does_not_count() -> None:
    made, _ = meeting(0)

    assert not made.join(1, Words(Wire()))


def test_nobody_leaves_before_all_have_done_their_work() -> None:
    made, wires = meeting(0)
    for rank in (1, 2):
        made.heard(rank, hello(rank))
    news(made)

    made.heard(1, {"done": 1})
    made.done()
    assert news(made) == []
    made.heard(2, {"done": 1})
    made.gone(1, "rank 1 went away")
    made.leave()

    assert news(made) == [{"done": 1}]
    assert wires[1].sent[-1] == {"done": 1}


@pytest.mark.parametrize("done", [True, False])
def test_a_peer_that_goes_too_early_is_lost(done: bool) -> None:
    made, _ = meeting(0)
    for rank in (1, 2):
        made.heard(rank, hello(rank))
    news(made)
    if done:
        made.heard(2, {"done": 1})

    made.gone(1, "rank 1 went away")
    made.gone(2, "rank 2 went away")

    assert news(made) == [{"failed": "PEER_LOST", "message": "rank 1 went away"}]


def test_a_peers_reason_is_bounded() -> None:
    made, _ = meeting(0)

    made.heard(1, {"failed": "X" * 10_000})

    assert news(made) == [
        {"failed": "PEER_LOST", "message": f"rank 1 has stopped: {'X' * 64}"},
    ]


def test_words_come_in_pieces_and_junk_ends_them() -> None:
    words = iter(Words(Wire(b'{"a": 1}\n{"b"', b": 2}\n[]\n")))

    assert [next(words), next(words)] == [{"a": 1}, {"b": 2}]
    with pytest.raises(TypeError):
        next(words)
    with pytest.raises(ValueError, match="too long"):
        list(Words(Wire(b"x" * 300_000)))


def test_what_differs_is_named_and_short() -> None:
    assert differences({"a": 1, "b": "x" * 500}, {"a": 1, "b": "y" * 500}).startswith("b (yyy")
    assert len(differences({"b": "x" * 500}, {"b": "y" * 500})) < 200
    assert differences({"a": 1}, {"a": 1.5}) == "a (1.5, not 1)"


def test_two_words_at_once_are_both_heard_by_the_guardian() -> None:
    """A peer that is lost right after all were there: the second word must not wait."""
    link, relay = socket.socketpair()
    inner, runner = socket.socketpair()
    read, write = os.pipe()
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    relay.sendall(b'{"linked": {}}\n{"failed": "PEER_LOST", "message": "rank 1 went away"}\n')

    code = Watch(process, Lines(link), Lines(inner), write).run()

    assert code == 1
    assert process.returncode == -signal.SIGTERM
    assert runner.recv(100) == b'{"linked": {}}\n'
    assert json.loads(os.read(read, 1000))["code"] == "PEER_LOST"
    for sock in (link, relay, inner, runner):
        sock.close()
    os.close(read)
    os.close(write)


@pytest.mark.parametrize("code", [0, 1, -9])
def test_rosetta_that_ends_without_a_word_has_failed(
    code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0 counts only beside the mark of a finished run."""
    monkeypatch.chdir(tmp_path)
    link, relay = socket.socketpair()
    read, write = os.pipe()
    end = f"import os; os.kill(os.getpid(), {-code}) if {code} < 0 else os._exit({code})"
    process = subprocess.Popen([sys.executable, "-c", end])

    found = Watch(process, Lines(link), Lines(relay), write).run()

    assert found == 1
    said = json.loads(os.read(read, 1000))
    assert (said["event"], said["code"]) == ("failed", "ENGINE_EXITED")
    link.close()
    relay.close()
    os.close(read)
    os.close(write)
