"""A node that answers with what no contract says: out of reach, never a crash."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.errors import ChainUnreachableError, WrongChainError
from datatoken.types import ZERO32
from tests.support.chain import Chain
from tests.support.proxy import Proxy, proxy_to


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
