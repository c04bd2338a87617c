"""The connection: bounded, typed, never believed beyond JSON-RPC."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.chain import replies
from datatoken.chain.rpc import ReplyLimitError, Rpc, RpcError
from datatoken.errors import ChainUnreachableError, ExitCode, WrongChainError
from tests.support.certificates import Authority
from tests.support.chain import Chain
from tests.support.proxy import Proxy, proxy_to


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as made:
        yield made


def test_wrong_chain_id(chain: Chain) -> None:
    with pytest.raises(WrongChainError) as refused:
        chain.rpc.verify_chain(210425)

    assert (
        refused.value.message == f"The endpoint {chain.url} serves chain 31337, not chain 210425."
    )
    assert refused.value.exit_code is ExitCode.CHAIN_UNREACHABLE


def test_nobody_listens() -> None:
    with pytest.raises(ChainUnreachableError) as refused:
        Rpc("http://127.0.0.1:1").chain_id()

    assert "http://127.0.0.1:1" in refused.value.message


def test_an_endpoint_with_a_certificate_of_a_private_authority(
    chain: Chain, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_FILE says whom to trust; without it, or with another authority, nobody is."""
    ours, other = Authority(tmp_path / "ours"), Authority(tmp_path / "other")
    with proxy_to(chain.url, ours.issue("node", "127.0.0.1")) as node:
        for trusted in (None, other):
            if trusted is not None:
                monkeypatch.setenv("SSL_CERT_FILE", str(trusted.ca))
            with pytest.raises(ChainUnreachableError), Rpc(node.url) as rpc:
                rpc.chain_id()
        monkeypatch.setenv("SSL_CERT_FILE", str(ours.ca))
        with Rpc(node.url) as rpc:
            assert rpc.chain_id() == 31337


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1", "http://"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ChainUnreachableError):
        Rpc(url).chain_id()


def test_the_next_endpoint_is_tried(chain: Chain) -> None:
    rpc = Rpc(("http://127.0.0.1:1", chain.url))

    assert rpc.chain_id() == 31337
    assert rpc.calls == 2


def test_no_endpoint_is_configured() -> None:
    with pytest.raises(ChainUnreachableError):
        Rpc(())


def test_dripping_reply(proxy: Proxy) -> None:
    """Acceptance: 111."""
    proxy.drip = 0.05
    started = time.monotonic()

    with pytest.raises(ReplyLimitError):
        Rpc(proxy.url, timeout=0.4).chain_id()

    assert time.monotonic() - started < 30  # the whole reply would take far longer than 0.4 s


def test_oversized_reply(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Acceptance: 111."""
    monkeypatch.setattr(replies, "MAX_REPLY", 1000)
    proxy.before = lambda request: {"result": "0x" + "00" * 1000}

    with pytest.raises(ReplyLimitError):
        Rpc(proxy.url).chain_id()


@pytest.mark.parametrize(
    "answer",
    [
        {"id": 10**9, "result": "0x1"},
        {"result": None, "error": "text"},
        {"error": {"code": -32601, "message": "Method not found"}},
        {},
    ],
)
def test_an_answer_that_is_none(proxy: Proxy, answer: dict[str, object]) -> None:
    proxy.before = lambda request: answer

    with pytest.raises(ChainUnreachableError):
        Rpc(proxy.url).request("eth_chainId")


@pytest.mark.parametrize("result", [None, 7, "zz", "0xzz", {"a": 1}])
def test_a_call_that_answers_no_hex(proxy: Proxy, result: object) -> None:
    proxy.before = lambda request: {"result": result}

    with pytest.raises(ChainUnreachableError):
        Rpc(proxy.url).eth_call("0x" + "11" * 20, b"")


def test_revert_data_is_kept(chain: Chain) -> None:
    selector = bytes.fromhex("95d89b41")  # a function that the contract has not got

    with pytest.raises(RpcError) as refused:
        chain.rpc.eth_call(chain.network.tokens, selector)

    assert refused.value.reverted


def test_a_closed_connection_is_opened_again(proxy: Proxy) -> None:
    rpc = Rpc(proxy.url)
    left = [True]

    def drop_once(request: object, answer: dict[str, object]) -> dict[str, object] | None:
        return None if left and left.pop() else answer

    proxy.after = drop_once

    assert rpc.chain_id() == 31337
    assert rpc.calls == 2


def test_proxies_of_the_environment_are_not_used(
    chain: Chain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")

    assert Rpc(chain.url).chain_id() == 31337
