"""Servers that always have a little more to say, or never listen: calls end at their deadline."""

import socket
import ssl
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from datatoken.bounded_http import BoundedTransport, within
from tests.support.certificates import Authority
from tests.support.raw_server import DRIPS, Act, raw_server, sending, silent, sipping

BOUND = 6.0  # not a benchmark: the servers go on for twice as long
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"


def post(url: str, content: bytes = b"") -> bytes:
    with httpx.Client(transport=BoundedTransport(), trust_env=False) as client:
        until = time.monotonic() + 1
        return client.post(url, content=content, timeout=within(until)).content


@pytest.mark.parametrize("name", DRIPS)
def test_answer_that_drips_for_ever(name: str) -> None:
    """Threat: a dripping reply, wherever in the protocol. Acceptance: 111."""
    started = time.monotonic()

    with raw_server(DRIPS[name]) as port, pytest.raises(httpx.ReadTimeout):
        post(f"http://127.0.0.1:{port}")

    assert time.monotonic() - started < BOUND


@pytest.mark.parametrize("act", [sipping, silent])
def test_server_that_takes_a_body_in_sips(act: Act) -> None:
    """Each sip would begin the write's time-out anew. Acceptance: 111."""
    started = time.monotonic()

    with raw_server(act) as port, pytest.raises(httpx.WriteTimeout):
        post(f"http://127.0.0.1:{port}", bytes(64 * 1024 * 1024))

    assert time.monotonic() - started < BOUND


def test_server_that_never_shakes_hands() -> None:
    """Acceptance: 111."""
    started = time.monotonic()

    with raw_server(silent) as port, pytest.raises(httpx.ConnectTimeout):
        post(f"https://127.0.0.1:{port}")

    assert time.monotonic() - started < BOUND


def test_name_with_many_addresses_that_do_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline is one for all addresses of a name. Acceptance: 111."""
    real = socket.getaddrinfo

    def many(host: str, port: int, *rest: int, **named: int) -> list[Any]:
        hosts = [f"127.0.0.{n}" for n in range(2, 22)] if host == "many.example" else [host]
        return [found for one in hosts for found in real(one, port, *rest, **named)]

    monkeypatch.setattr(socket, "getaddrinfo", many)
    # Of a listener whose queue is full, more connections are neither taken nor refused.
    with socket.create_server(("0.0.0.0", 0), backlog=0) as listener:
        port = listener.getsockname()[1]
        waiting = [socket.socket() for _ in range(4)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(("127.0.0.1", port))
        started = time.monotonic()

        with pytest.raises(httpx.ConnectTimeout):
            post(f"http://many.example:{port}")

        assert time.monotonic() - started < BOUND
        for one in waiting:
            one.close()


def test_deadline_that_has_passed() -> None:
    with (
        raw_server(sending(OK)) as port,
        httpx.Client(transport=BoundedTransport()) as client,
        pytest.raises(httpx.TimeoutException),
    ):
        client.get(f"http://127.0.0.1:{port}", timeout=within(time.monotonic() - 1))


def test_answer_in_time() -> None:
    with raw_server(sending(OK)) as port:
        assert post(f"http://localhost:{port}", b"x" * 100_000) == b"hello"


def test_tls_server_that_drips(tmp_path: Path) -> None:
    """Below TLS as above it: records drip, too. Acceptance: 111."""
    authority = Authority(tmp_path / "ca")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.issue("server", "127.0.0.1"))
    trust = ssl.create_default_context(cafile=str(authority.ca))
    acts = [sending(OK), DRIPS["header"]]

    def act(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as wrapped:
            acts.pop(0)(wrapped)

    with raw_server(act) as port, httpx.Client(transport=BoundedTransport(trust)) as client:
        url = f"https://127.0.0.1:{port}"
        until = time.monotonic() + 5
        assert client.post(url, content=bytes(9), timeout=within(until)).content == b"hello"
        started = time.monotonic()
        with pytest.raises(httpx.ReadTimeout):
            client.post(url, timeout=within(started + 1))

    assert time.monotonic() - started < BOUND
