"""Shares over the control channel: whole, from whom they are, or not at all."""

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import grpc
import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import BadInputError
from rtt_tracer.control.messages import Agree
from rtt_tracer.control.wire import MAX_STREAMS, SHARE, ShareReceived, method
from tests.rtt_tracer.control.conftest import WORLD, Parties

CONTENT = os.urandom(700_000)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "x0"
    path.write_bytes(CONTENT)
    return path


def head(**more: Any) -> bytes:
    plain = {"name": "x0", "size": len(CONTENT), "sha256": digest(CONTENT)} | more
    return canonical_bytes(plain)


def digest(content: bytes) -> str:
    return "0x" + hashlib.sha256(content).hexdigest()


def left_in(parties: Parties, dt: str) -> list[Path]:
    return [path for path in (parties.folder / dt).rglob("*") if path.is_file()]


def test_share_arrives_whole_in_its_senders_folder(parties: Parties, file: Path) -> None:
    """Acceptance: 66."""
    a, b, c, _ = parties.dts
    empty = file.with_name("empty")
    empty.write_bytes(b"")

    parties.channels[a].send_share(c, "x0", file)
    parties.channels[b].send_share(c, "x0", empty)  # the same name, another sender

    found = [parties.channels[c].heard(5) for _ in range(2)]
    folder = parties.folder / c
    assert found == [
        (a, ShareReceived("x0", folder / a / "x0", len(CONTENT), digest(CONTENT))),
        (b, ShareReceived("x0", folder / b / "x0", 0, digest(b""))),
    ]
    assert (folder / a / "x0").read_bytes() == CONTENT
    assert (folder / a / "x0").stat().st_mode & 0o077 == 0
    assert parties.channels[a].bytes_sent >= len(CONTENT)
    assert left_in(parties, parties.dts[3]) == []


def test_sending_again_is_safe_and_another_content_is_refused(parties: Parties, file: Path) -> None:
    a, _, c, _ = parties.dts
    parties.channels[a].send_share(c, "x0", file)
    parties.channels[a].send_share(c, "x0", file)
    file.write_bytes(b"other")

    with pytest.raises(Refused, match="ALREADY_EXISTS"):
        parties.channels[a].send_share(c, "x0", file)

    assert parties.channels[c].heard(5) is not None
    assert parties.channels[c].heard(0.1) is None
    assert (parties.folder / c / a / "x0").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "parts",
    [
        [head(sha256="0x" + "0" * 64), CONTENT],
        [head(), CONTENT[:-1]],
        [head(), CONTENT, b"x"],
        [head(size=5, sha256=digest(CONTENT)), CONTENT],
        [head()],
        [],
        [b"", CONTENT],
        [b"{}", CONTENT],
        [b"x" * 2000, CONTENT],
        [head(name="../x0"), CONTENT],
        [head(name="/etc/x0"), CONTENT],
        [head(name="a/b"), CONTENT],
        [head(name=".."), CONTENT],
        [head(name=""), CONTENT],
        [head(name="x0.part"), CONTENT],
        [head(name="x\u0000"), CONTENT],
        [head(name="x" * 101), CONTENT],
        [head(size=-1), CONTENT],
    ],
    ids=[
        "hash", "short", "long", "size", "nothing", "empty", "no head", "empty head", "huge head",
        "up", "root", "folder", "dots", "unnamed", "part", "zero", "long name", "negative",
    ],
)  # fmt: skip
def test_share_that_lies_is_refused_and_leaves_nothing(
    parties: Parties, parts: list[bytes]
) -> None:
    a, _, c, _ = parties.dts
    chunks = [chunk for part in parts for chunk in split(part)]

    assert send(parties, a, c, chunks) is grpc.StatusCode.INVALID_ARGUMENT

    assert parties.channels[c].heard(0) is None
    assert left_in(parties, c) == []
    assert not (parties.folder / "x0").exists()


def split(content: bytes) -> list[bytes]:
    return [content[i : i + 200_000] for i in range(0, len(content), 200_000)] or [b""]


def send(
    parties: Parties, sender: str, to: str, parts: Any, timeout: float | None = 10.0
) -> grpc.StatusCode | None:
    channel = parties.raw(to, *WORLD.certificates[sender])
    try:
        channel.stream_unary(method(SHARE))(iter(parts), timeout=timeout)
    except grpc.RpcError as error:
        return error.code()
    finally:
        channel.close()
    return None


def test_compute_party_sends_no_shares(parties: Parties, file: Path) -> None:
    c, d = parties.dts[2:]

    with pytest.raises(Refused) as caught:
        parties.channels[c].send_share(d, "x0", file)

    assert caught.value.reason is Reason.PARTY_STOPPED
    assert "PERMISSION_DENIED" in caught.value.message
    assert left_in(parties, d) == []


def test_party_without_a_folder_takes_none(new_parties: Any, file: Path) -> None:
    parties = new_parties()
    a, b = parties.dts[:2]
    parties.start(a)
    parties.start(b, shares=None)
    parties.meet()

    with pytest.raises(Refused, match="takes no shares"):
        parties.channels[a].send_share(b, "x0", file)


def test_budget_of_one_sender_does_not_touch_anothers(new_parties: Any, file: Path) -> None:
    parties = new_parties()
    a, b, c, _ = parties.dts
    for dt in (a, b):
        parties.start(dt)
    parties.start(c, most_share_bytes=len(CONTENT) + 10)
    parties.meet()

    parties.channels[a].send_share(c, "x0", file)
    with pytest.raises(Refused, match="RESOURCE_EXHAUSTED"):
        parties.channels[a].send_share(c, "x1", file)
    parties.channels[b].send_share(c, "x0", file)

    assert len(left_in(parties, c)) == 2


def test_stream_that_ends_early_leaves_nothing_and_can_be_sent_again(
    parties: Parties, file: Path
) -> None:
    """The sender is killed half-way: the call is cancelled, the connection is cut."""
    a, _, c, _ = parties.dts

    def broken() -> Iterator[bytes]:
        yield head()
        yield CONTENT[:200_000]
        raise OSError("killed")

    assert send(parties, a, c, broken()) is not None

    parties.channels[a].send_share(c, "x0", file)
    assert [path.name for path in left_in(parties, c)] == ["x0"]


def test_share_without_a_deadline_is_refused(parties: Parties) -> None:
    """A sender that drips bytes for ever would hold a thread for ever."""
    a, _, c, _ = parties.dts

    assert send(parties, a, c, [head(), *split(CONTENT)], None) is (
        grpc.StatusCode.INVALID_ARGUMENT
    )


def test_dripping_share_ends_at_its_deadline_and_others_go_on(parties: Parties) -> None:
    a, b, c, _ = parties.dts
    drip = Event()

    def dripping() -> Iterator[bytes]:
        yield head()
        for byte in CONTENT[:1000]:
            yield bytes([byte])
            if drip.wait(0.05):
                return

    assert send(parties, a, c, dripping(), 1.0) is grpc.StatusCode.DEADLINE_EXCEEDED
    parties.channels[b].say(Agree(agreed=digest(b"x")))
    assert parties.channels[c].heard(5) == (b, Agree(agreed=digest(b"x")))
    drip.set()


def test_many_dripping_shares_of_one_sender_keep_nobody_out(parties: Parties, file: Path) -> None:
    a, b, c, _ = parties.dts
    over, channel = Event(), parties.raw(c, *WORLD.certificates[a])

    def dripping(number: int) -> Iterator[bytes]:
        yield head(name=f"x{number}")
        while not over.wait(0.1):
            yield b"x"

    share = channel.stream_unary(method(SHARE))
    calls = [share.future(dripping(number), timeout=60) for number in range(40)]
    failed = [one.exception() for one in calls if wait_done(one)]
    assert len(failed) >= 40 - MAX_STREAMS

    parties.channels[b].send_share(c, "x0", file, timeout=20)

    assert (parties.folder / c / b / "x0").read_bytes() == CONTENT
    over.set()
    channel.close()


def wait_done(call: Any) -> bool:
    """Tell whether a call ends within two seconds."""
    try:
        call.exception(timeout=2)
    except grpc.FutureTimeoutError:
        return False
    return True


def test_file_or_name_that_no_peer_takes_is_bad_input(parties: Parties, file: Path) -> None:
    a, _, c, _ = parties.dts

    with pytest.raises(BadInputError, match="can't be read"):
        parties.channels[a].send_share(c, "x0", file.with_name("missing"))
    with pytest.raises(BadInputError, match="named"):
        parties.channels[a].send_share(c, "../x0", file)


def test_disk_that_is_full_is_told_and_leaves_nothing(new_parties: Any, file: Path) -> None:
    parties = new_parties()
    a, _, c, _ = parties.dts
    parties.start(a)
    parties.start(c)
    parties.folder.mkdir(parents=True)
    (parties.folder / c).write_text("a file where the folder would be")
    parties.meet()

    with pytest.raises(Refused, match="can't be written"):
        parties.channels[a].send_share(c, "x0", file)

    assert parties.channels[c].heard(0) is None
