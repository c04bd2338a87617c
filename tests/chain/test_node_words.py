"""What a node says reaches people's terminals, and an endpoint's address may hold a secret."""

from collections.abc import Callable, Iterator

import pytest
from eth_abi.abi import encode

from datatoken.chain.errors import from_rpc_error
from datatoken.chain.panel import QuorumRules
from datatoken.chain.quorum import QuorumRpc
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.seen import SeenBlocks
from datatoken.errors import ChainUnreachableError, DataTokenError
from tests.support.chain import Chain
from tests.support.proxy import Proxy, proxy_to


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as made:
        yield made


def test_secret_in_the_address_is_not_shown(proxy: Proxy) -> None:
    """Acceptance: 111."""
    port = proxy.port
    url = f"http://user:SECRET@127.0.0.1:{port}/v3/APIKEY?key=APIKEY"
    rules = QuorumRules(1, 31337, 30.0)
    quorum = QuorumRpc([url, url + "2"], rules, SeenBlocks("test"), 1.0)
    with Rpc(url) as rpc, quorum:
        shown = [
            _message(lambda: rpc.verify_chain(1)),
            _message(lambda: quorum.verify_chain(1)),
        ]
        proxy.before = lambda request: {"result": "0x1"}
        with QuorumRpc([url], QuorumRules(1, 31337, 30.0), SeenBlocks("test")) as another:
            shown.append(_message(another.pin))
        proxy.before = lambda request: {"error": {"code": 1, "message": "no"}}
        shown += [_message(rpc.chain_id), _message(quorum.pin)]
        proxy.after = lambda request, answer: None
        proxy.before = lambda request: None
        shown += [_message(rpc.chain_id), _message(quorum.pin)]

    assert any(f"http://127.0.0.1:{port}" in message for message in shown)
    assert "SECRET" not in "".join(shown)
    assert "APIKEY" not in "".join(shown)


@pytest.mark.parametrize("url", ["SECRET", "http://u:SECRET@h:99999/", "http://[SECRET"])
def test_secret_in_an_address_that_is_none(url: str) -> None:
    assert "SECRET" not in _message(Rpc(url).chain_id)


def test_error_text_that_floods_a_terminal(proxy: Proxy) -> None:
    """Acceptance: 111."""
    text = "\x1b[2Jexecution reverted \u202e\n" + "x" * 300_000
    proxy.before = lambda request: {"error": {"code": -32000, "message": text}}

    for message in (_message(Rpc(proxy.url).chain_id), _of_revert(proxy.url)):
        assert len(message) < 400
        assert not set(message) & set("\x1b\u202e\n")


def test_revert_text_that_floods_a_terminal(proxy: Proxy) -> None:
    data = "0x08c379a0" + encode(["string"], ["\x1b[2J\n" + "x" * 20_000]).hex()
    proxy.before = lambda request: {"error": {"code": 3, "message": "r", "data": data}}

    message = _of_revert(proxy.url)

    assert "\\u001b" in message
    assert len(message) < 400
    assert not set(message) & set("\x1b\n")


@pytest.mark.parametrize(
    "data",
    [
        "0xzz",
        "0x123",
        "0x08c379a0",
        "0x08c379a0" + "ff" * 64,
        "0x08c379a0" + encode(["bytes"], [b"\xff"]).hex(),
        "0x4e487b71",
        7,
        [],
        {"data": 1},
    ],
)
def test_revert_data_that_are_none(proxy: Proxy, data: object) -> None:
    proxy.before = lambda request: {"error": {"code": 3, "message": "m", "data": data}}

    assert _of_revert(proxy.url).startswith("The contract refused")


def test_chain_id_of_a_million_digits(proxy: Proxy) -> None:
    proxy.before = lambda request: {"result": "0x" + "f" * 500_000}

    with pytest.raises(ChainUnreachableError):
        Rpc(proxy.url).verify_chain(31337)


def _message(ask: Callable[[], object]) -> str:
    with pytest.raises(DataTokenError) as refused:
        ask()
    return refused.value.message + refused.value.hint


def _of_revert(url: str) -> str:
    """Return what people read of an error that a view call ended with."""
    with pytest.raises(RpcError) as refused:
        Rpc(url).eth_call("0x" + "11" * 20, b"")
    return from_rpc_error(refused.value).message
