"""A node that misuses HTTP itself: what it sends never ends, or ends too early. Both clients."""

import gzip
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from datatoken.errors import BadInputError, ExitCode, StoreError
from datatoken.store import Limits, VerifyingStore, open_store
from datatoken.types import sha256_hex
from tests.support.raw_server import DRIPS, raw_server, sending

CONTENT = b"a document"
DIGEST = sha256_hex(CONTENT)
BOUND = 6.0  # not a benchmark: the hostile servers go on for twice as long
OK = b"HTTP/1.1 200 OK\r\n"

Open = Callable[[int], VerifyingStore]


@pytest.fixture(params=["", "ipfshttpclient+"], ids=["own", "ipfshttpclient"])
def library(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def store(library: str) -> Open:
    """Open the node at a port with our own client, or with the library."""
    return lambda port: open_store(f"{library}http://127.0.0.1:{port}", Limits(seconds=1.0))


@pytest.mark.parametrize("name", DRIPS)
def test_node_that_drips_below_the_body(store: Open, name: str) -> None:
    """Threat: a reply that never ends, though no read of it is ever late. Acceptance: 111."""
    started = time.monotonic()

    with raw_server(DRIPS[name]) as port, pytest.raises(StoreError, match="in time"):
        store(port).get(DIGEST)

    assert time.monotonic() - started < BOUND


@pytest.mark.parametrize(
    ("sent", "wait", "message"),
    [
        (OK + b"Content-Length: 100\r\n\r\nabc", 0, "out of reach"),
        (OK + b"Content-Length: 100\r\n\r\nabc", 12, "in time"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", 0, "out of reach"),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nab", 0, "out of reach"),
        (b"HTTP/1.1 200 OK\r\nContent-Le", 0, "out of reach"),
        (b"SSH-2.0-OpenSSH_9.9\r\n", 0, "out of reach"),
        (b"", 0, "out of reach"),
    ],
    ids=["cut", "stalled", "cut-chunk", "no-chunk", "cut-header", "other-protocol", "nothing"],
)
def test_connection_cut_or_stalled_in_the_answer(
    store: Open, sent: bytes, wait: float, message: str
) -> None:
    """Ends as an error of the store's, never as one of the library below. Acceptance: 111."""
    started = time.monotonic()

    with raw_server(sending(sent, wait)) as port, pytest.raises(StoreError, match=message):
        store(port).get(DIGEST)

    assert time.monotonic() - started < BOUND


class CompressingProxy(BaseHTTPRequestHandler):
    """Compresses for whoever says that he takes it, as a web server before a node may."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        zipped = "gzip" in self.headers.get("Accept-Encoding", "gzip")
        body = gzip.compress(CONTENT) if zipped else CONTENT
        self.send_response(200)
        if zipped:
            self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def proxy() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), CompressingProxy)
    Thread(target=server.serve_forever, daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_node_behind_a_server_that_compresses(store: Open, proxy: int) -> None:
    """An honest node: what is refused is not asked for."""
    assert store(proxy).get(DIGEST) == CONTENT


@pytest.mark.parametrize(
    "rest",
    [
        "http://h:99999",
        "http://h:port",
        "http://h:0",
        "http://[::1",
        "http://h:5001?x=1",
        "http://h:5001/?x=1",
        "http://h:5001#x",
        "http://ex%41mple:5001",
        "http://a b:5001",
        "http://\x1b[31m:5001",
        "http://xn--0.example",
    ],
)
def test_address_that_no_client_can_use(library: str, rest: str) -> None:
    with pytest.raises(BadInputError) as refused:
        open_store(f"{library}{rest}")

    assert refused.value.exit_code is ExitCode.BAD_INPUT
    assert "x=1" not in refused.value.message
    assert refused.value.message.isprintable()


def test_password_in_an_address_stays_out_of_errors(library: str) -> None:
    """Threat: errors go to strangers, who would read how the owner reaches his store."""
    messages = []
    for url in ("http://me:hush@127.0.0.1:1", "http://me:hush@127.0.0.1:1/hush?key=hush"):
        with pytest.raises((StoreError, BadInputError)) as refused:
            open_store(f"{library}{url}").get(DIGEST)
        messages.append(refused.value.message + refused.value.hint)

    assert all("http://127.0.0.1:1" in message for message in messages)
    assert not any("hush" in message or "me:" in message for message in messages)


def test_password_in_an_address_reaches_the_node(library: str) -> None:
    heard: list[bytes] = []

    def hear(connection: object) -> None:
        heard.append(connection.recv(65536))  # type: ignore[attr-defined]

    with raw_server(hear) as port, pytest.raises(StoreError):
        open_store(f"{library}http://me:hush@127.0.0.1:{port}").get(DIGEST)

    assert b"authorization: basic" in heard[0].lower()
