"""The client against a service that lies, drips or floods."""

import gzip
import json
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Acknowledgement
from datatoken.service import http
from datatoken.service.client import RecorderClient
from datatoken.service.http import ServiceHttp
from datatoken.service.problems import ServiceCode, ServiceError
from tests.support.chain import fresh
from tests.support.raw_server import DRIPS, raw_server
from tests.support.receipts import Node

Answering = Callable[[bytes], str]


@pytest.fixture
def answering() -> Iterator[Answering]:
    """Serve fixed bytes to every connection; return the address."""
    sockets: list[socket.socket] = []

    def serve(content: bytes, drip: bool = False) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        sockets.append(listener)

        def loop() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                    connection.recv(65536)
                    if drip:
                        for byte in content:
                            connection.send(bytes([byte]))
                            threading.Event().wait(0.02)
                    connection.sendall(content)
                    connection.close()
                except OSError:
                    if listener.fileno() < 0:
                        return

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield serve
    for listener in sockets:
        listener.close()


def reply(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    length = f"content-length: {len(body)}\r\n"
    return f"HTTP/1.1 {status}\r\n{length}{headers}\r\n".encode() + body


def unreachable(url: str, timeout: float = 5.0) -> str:
    with ServiceHttp(url, timeout) as client, pytest.raises(Refused) as caught:
        client.call("GET", "/x")
    assert caught.value.reason is Reason.RECORDER_UNREACHABLE
    return str(caught.value)


def test_recorder_out_of_reach() -> None:
    """Acceptance: 111."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]

    assert f"127.0.0.1:{port}" in unreachable(f"http://127.0.0.1:{port}")


def test_answers_that_are_none(answering: Answering) -> None:
    for content in (b"", b"garbage", reply(b"<html>"), reply(b'{"a":1,"a":2}'), reply(b"[" * 99)):
        unreachable(answering(content))


def test_oversized_reply_is_cut(answering: Answering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MAX_REPLY", 1000)

    assert "exceeds" in unreachable(answering(reply(b'"' + b"x" * 2000 + b'"')))


def test_dripping_reply_is_given_up(answering: Callable[..., str]) -> None:
    unreachable(answering(reply(b'"' + b"x" * 500 + b'"'), drip=True), timeout=0.3)


@pytest.mark.parametrize("drip", sorted(DRIPS))
def test_answer_that_drips_for_ever(drip: str) -> None:
    """The deadline holds from connecting to the last byte. Acceptance: 111."""
    with raw_server(DRIPS[drip]) as port:
        assert "ReadTimeout" in unreachable(f"http://127.0.0.1:{port}", timeout=0.5)


def test_compressed_bomb(answering: Answering) -> None:
    """A kilobyte on the wire would be hundreds of megabytes here. Acceptance: 111."""
    packed = gzip.compress(gzip.compress(bytes(300 << 20)))
    url = answering(reply(packed, headers="content-encoding: gzip, gzip\r\n"))

    tracemalloc.start()
    message = unreachable(url)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "compressed" in message
    assert peak < 32 << 20


def test_reply_of_tiny_values(answering: Answering) -> None:
    """Two bytes of JSON are a hundred in Python. Acceptance: 111."""
    assert "too many values" in unreachable(answering(reply(b"[" + b"{}," * 200_000 + b"{}]")))


def test_redirects_are_not_followed(answering: Answering) -> None:
    elsewhere = answering(reply(b'{"secret": 1}'))
    moved = reply(b"{}", "307 Moved", f"location: {elsewhere}/\r\n")

    assert "307" in unreachable(answering(moved))


def test_problems_keep_their_code(answering: Answering) -> None:
    body = b'{"code": "NOT_ENTITLED", "message": "no", "hint": ""}'
    with (
        ServiceHttp(answering(reply(body, "403 Forbidden"))) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.call("GET", "/x")

    assert caught.value.service_code is ServiceCode.NOT_ENTITLED


@pytest.mark.parametrize(
    "url", ["", "recorder", "ftp://a", "file:///etc/passwd", "http://", "http://a?b"]
)
def test_endpoint_that_is_no_web_address(url: str) -> None:
    with pytest.raises(BadInputError):
        ServiceHttp(url)


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"documents": {}}', b'{"documents": [{}]}'])
def test_answer_of_another_shape(answering: Answering, body: bytes) -> None:
    client = RecorderClient(answering(reply(body)), Signer.random(), recorder="0x" + "aa" * 20)

    with pytest.raises(Refused) as caught:
        client.documents(fresh())
    client.close()

    assert caught.value.reason is Reason.RECORDER_UNREACHABLE


def test_acknowledgement_that_the_recorder_did_not_sign(answering: Answering) -> None:
    network = Network(31337, *(f"0x{number:040x}" for number in range(1, 7)))
    recorder, other = Signer.random(), Signer.random()
    signed = Node.of(Signer.random(), fresh(), network).receipt(fresh(), fresh())
    about = (signed.receipt.digest(), signed.receipt.job, recorder.address, 1)
    digest = bytes.fromhex(Acknowledgement.digest(*about)[2:])

    for signer, good in ((recorder, True), (other, False)):
        names = ("receipt", "job", "recorder", "time")
        plain = dict(zip(names, about, strict=True)) | {"signature": signer.sign_message(digest)}
        url = answering(reply(json.dumps(plain).encode()))
        client = RecorderClient(url, Signer.random(), recorder=recorder.address)
        if good:
            assert client.post_receipt(signed).receipt == about[0]
            continue
        with pytest.raises(Refused) as caught:
            client.post_receipt(signed)
        assert caught.value.reason is Reason.RECORDER_UNREACHABLE
