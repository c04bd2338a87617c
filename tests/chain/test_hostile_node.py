"""A node that answers with what no contract says: out of reach, never a crash."""

import gzip
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from datatoken.chain.reader import ChainReader
from datatoken.chain.replies import MAX_REPLY, limit_of
from datatoken.chain.rpc import ReplyLimitError, Rpc
from datatoken.errors import ChainUnreachableError, WrongChainError
from datatoken.types import ZERO32
from tests.support.chain import Chain
from tests.support.proxy import Proxy, proxy_to
from tests.support.raw_server import DRIPS, raw_server


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as made:
        yield made


@pytest.fixture
def node() -> Iterator[Any]:
    """A server that answers every request with `.body`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(server.body)  # type: ignore[attr-defined]

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"id":1,"error":{"code":1e999}}',
        b'{"id":1,"error":{"code":[]}}',
        b'{"id":1,"result":' + b"1" * 5000 + b"}",
        b'{"id":1,"result":"zz"}',
        b'{"id":1,"result":null}',
        b'{"id":1,"result":7}',
        b"\xff",
        b"",
    ],
)
def test_answer_that_breaks_parsers(node: Any, body: bytes) -> None:
    """Acceptance: 111."""
    node.body = body

    with pytest.raises(ChainUnreachableError):
        Rpc(f"http://127.0.0.1:{node.server_port}").chain_id()


@pytest.mark.parametrize("word", [0, 3, 4, 5])
def test_number_that_no_block_has(chain: Chain, proxy: Proxy, word: int) -> None:
    """Such a number would not go into the gate's own memory, or would fill it for ever."""
    reader = ChainReader(Rpc(proxy.url), chain.deployment)
    reader.verify()

    def lie(request: object, answer: dict[str, Any]) -> dict[str, Any]:
        content = bytearray.fromhex(answer["result"][2:])
        content[32 * word] = 1
        return {**answer, "result": "0x" + content.hex()}

    proxy.after = lie

    with pytest.raises(ChainUnreachableError):
        reader.check(ZERO32)


def test_next_endpoint_of_another_chain_is_not_believed(chain: Chain, proxy: Proxy) -> None:
    """The first endpoint goes away in the middle of a job; the next one is of another chain.

    Acceptance: 111
    """
    with proxy_to(chain.url) as other:
        other.before = lambda request: (
            {"result": "0x1"} if request["method"] == "eth_chainId" else None
        )
        reader = ChainReader(Rpc((proxy.url, other.url)), chain.deployment)
        reader.check(ZERO32)
        proxy.after = lambda request, answer: None

        with pytest.raises(WrongChainError):
            reader.check(ZERO32)


def test_next_endpoint_of_the_same_chain_steps_in(chain: Chain, proxy: Proxy) -> None:
    with proxy_to(chain.url) as other:
        reader = ChainReader(Rpc((proxy.url, other.url)), chain.deployment)
        reader.check(ZERO32)
        proxy.after = lambda request, answer: None

        assert reader.check(ZERO32) == reader.check(ZERO32)
        assert other.methods == ["eth_call", "eth_chainId", "eth_call"]


class TestFlood:
    """More bytes, or more memory for them, than an answer can need."""

    def test_compressed_bomb(self) -> None:
        """A kilobyte on the wire would be hundreds of megabytes here. Acceptance: 111."""
        packed = gzip.compress(gzip.compress(bytes(300 << 20)))
        content = reply(packed, "content-encoding: gzip, gzip\r\n")
        requests: list[bytes] = []

        def act(connection: socket.socket) -> None:
            requests.append(received(connection))
            connection.sendall(content)

        with (
            raw_server(act) as port,
            measured() as peak,
            pytest.raises(ChainUnreachableError) as refused,
        ):
            Rpc(url_of(port)).chain_id()

        assert "compressed" in refused.value.message
        assert b"accept-encoding: identity" in requests[0].lower()
        assert peak[0] < 32 << 20

    @pytest.mark.parametrize("method", ["eth_chainId", "eth_call", "eth_getLogs"])
    def test_reply_of_tiny_values(self, method: str) -> None:
        """Two bytes of JSON are a hundred in Python. Acceptance: 111."""
        content = reply(b'{"id":1,"result":[' + b"{}," * (limit_of(method) // 4) + b"{}]}")
        with (
            raw_server(sends(content)) as port,
            measured() as peak,
            pytest.raises(ChainUnreachableError),
        ):
            Rpc(url_of(port)).request(method)

        assert peak[0] < 64 << 20

    def test_limit_holds_for_each_method(self) -> None:
        size = 3 * MAX_REPLY // 4
        content = answer("0x" + "00" * size)
        with raw_server(sends(content)) as port:
            assert len(Rpc(url_of(port)).eth_call("0x" + "11" * 20, b"")) == size
            with pytest.raises(ReplyLimitError):
                Rpc(url_of(port)).request("eth_getCode")

    def test_length_that_is_announced(self) -> None:
        head = b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999\r\n\r\n"
        with raw_server(sends(head, 2.0)) as port, pytest.raises(ReplyLimitError) as refused:
            Rpc(url_of(port)).chain_id()

        assert "exceeds" in refused.value.message


class TestDrip:
    """Bytes that come one by one: the deadline holds from connecting to the last byte."""

    @pytest.mark.parametrize("drip", sorted(DRIPS))
    def test_dripped_answer(self, drip: str) -> None:
        """Acceptance: 111."""
        with raw_server(DRIPS[drip]) as port, pytest.raises(ReplyLimitError):
            Rpc(url_of(port), timeout=0.5).chain_id()

    def test_second_try_gets_no_new_deadline(self) -> None:
        """Acceptance: 111."""
        tries: list[bool] = []

        def act(connection: socket.socket) -> None:
            tries.append(True)
            slowly(connection, answer("0x7a69"), 0.8, whole=len(tries) > 1)

        with raw_server(act) as port, pytest.raises(ReplyLimitError):
            Rpc(url_of(port), timeout=1.2).chain_id()

        assert len(tries) == 2

    def test_next_endpoint_steps_in_for_a_dripping_one(self, chain: Chain) -> None:
        """Acceptance: 111."""

        def act(connection: socket.socket) -> None:
            slowly(connection, answer("0x7a69"), 6.0)

        with raw_server(act) as port, Rpc((url_of(port), chain.url), 1.0) as rpc:
            assert rpc.chain_id() == 31337
            assert rpc.answered_by == chain.url


def url_of(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def answer(result: object) -> bytes:
    """Return a whole answer to the first request of a connection to a node."""
    return reply(json.dumps({"id": 1, "result": result}).encode())


def reply(body: bytes, headers: str = "") -> bytes:
    length = f"content-length: {len(body)}\r\nconnection: close\r\n"
    return f"HTTP/1.1 200 OK\r\n{length}{headers}\r\n".encode() + body


def received(connection: socket.socket) -> bytes:
    """Return a request: what is left unread would reset the connection."""
    request = connection.recv(65536)
    while b"\r\n\r\n{" not in request:
        request += connection.recv(65536)
    return request


def sends(content: bytes, then: float = 0.0) -> Callable[[socket.socket], None]:
    """Return what sends something, waits, and cuts the connection."""

    def act(connection: socket.socket) -> None:
        received(connection)
        connection.sendall(content)
        time.sleep(then)

    return act


def slowly(
    connection: socket.socket, content: bytes, seconds: float, *, whole: bool = True
) -> None:
    """Send an answer with a header that takes its time; cut the connection before the end."""
    received(connection)
    line, _, rest = content.partition(b"\r\n")
    connection.sendall(line + b"\r\nx-slow: ")
    for _ in range(10):
        time.sleep(seconds / 10)
        connection.sendall(b"a")
    if whole:
        connection.sendall(b"\r\n" + rest)


@contextmanager
def measured() -> Iterator[list[int]]:
    """Measure the most memory that Python's objects take meanwhile."""
    peak: list[int] = []
    tracemalloc.start()
    try:
        yield peak
        peak.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
