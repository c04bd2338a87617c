"""Nodes that forget, lag, refuse what they took or took what they refuse: nothing is sent twice."""

import itertools
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.rpc import Rpc
from datatoken.chain.transactions import Sender, TransactionPendingError
from datatoken.errors import BadInputError, ChainUnreachableError, TransactionError
from tests.support.chain import Account, Chain, fresh
from tests.support.proxy import Answer, Proxy, Request, proxy_to
from tests.support.quorum import Connect

SEND, NONCE, RECEIPT = (
    "eth_sendRawTransaction",
    "eth_getTransactionCount",
    "eth_getTransactionReceipt",
)
KEYS = pytest.mark.parametrize("key", [None, "task:1"])


@pytest.fixture
def account(chain: Chain) -> Account:
    return chain.account(enrol=True)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.sqlite"


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as one:
        yield one


@contextmanager
def sender_of(
    rpc: Rpc, chain: Chain, account: Account, journal: Path, **profile: float
) -> Iterator[Sender]:
    own = chain.profile.model_copy(update=profile)
    with Sender(rpc, account.signer, own, journal) as sender:
        yield sender


def sent(chain: Chain, account: Account, description: str | None = None) -> list[str]:
    """Return the transactions in which an account created tasks."""
    events = EventReader(chain.rpc, chain.deployment).history(TaskCreated, owner=account.address)
    found: Any = [one for one in events if description in (None, one.description)]  # type: ignore[attr-defined]
    return [event.tx_hash for event in found]


def nonce_of(chain: Chain, account: Account) -> int:
    return int(chain.rpc.request(NONCE, [account.address, "latest"]), 16)


def for_seconds(seconds: float, **answers: object) -> Callable[[Request], Answer | None]:
    """Return a hook that answers some methods by itself for a while."""
    end = time.monotonic() + seconds

    def answer(request: Request) -> Answer | None:
        if time.monotonic() > end or request["method"] not in answers:
            return None
        return {"result": answers[request["method"]]}

    return answer


def refuse(text: str, bytes_: list[str] | None = None) -> Callable[[Request], Answer | None]:
    """Return a hook of a node that refuses transactions, and keeps them."""

    def answer(request: Request) -> Answer | None:
        if request["method"] != SEND:
            return None
        if bytes_ is not None:
            bytes_.append(request["params"][0])
        return {"error": {"code": -32000, "message": text}}

    return answer


def swallow(pool: list[str]) -> Callable[[Request], Answer | None]:
    """Return a hook of a node that takes transactions and keeps them to itself."""

    def answer(request: Request) -> Answer | None:
        if request["method"] != SEND:
            return None
        pool.append(request["params"][0])
        return {"result": "0x" + "00" * 32}

    return answer


class TestNodesThatDoNotKnow:
    """A receipt that is not there, at a node that can't know it."""

    @KEYS
    def test_a_node_without_a_transaction_index_and_one_a_block_behind(
        self,
        chain: Chain,
        nodes: list[Proxy],
        connect: Connect,
        account: Account,
        journal: Path,
        key: str | None,
    ) -> None:
        """Nonce passed by one pair, receipt missing at another: together they prove nothing."""
        before, intent = nonce_of(chain, account), chain.contracts.market.create_task(fresh())
        with sender_of(connect(), chain, account, journal) as sender:
            first = sender.submit(intent, key)  # and the process ends
        nodes[2].before = for_seconds(60, **{RECEIPT: None})
        nodes[1].before = for_seconds(1, **{RECEIPT: None, NONCE: hex(before)})

        with sender_of(connect(), chain, account, journal) as sender:
            receipt = sender.send(intent, key)

        assert receipt.tx_hash == first.tx_hash
        assert sent(chain, account) == [first.tx_hash]

    def test_two_nodes_that_index_late(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, account: Account, journal: Path
    ) -> None:
        intent = chain.contracts.market.create_task(fresh())
        with sender_of(connect(), chain, account, journal) as sender:
            first = sender.submit(intent, "K")
        for node in nodes[1:]:
            node.before = for_seconds(1.5, **{RECEIPT: None})

        with sender_of(connect(), chain, account, journal) as sender:
            assert sender.send(intent, "K").tx_hash == first.tx_hash

        assert sent(chain, account) == [first.tx_hash]

    @KEYS
    def test_nodes_of_which_one_lags_behind_one_address(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path, key: str | None
    ) -> None:
        """A load balancer: the nonce comes from one node, the receipt from one that lags."""
        intent = chain.contracts.market.create_task(fresh())
        with sender_of(Rpc(proxy.url), chain, account, journal) as sender:
            first = sender.submit(intent, key)
        proxy.before = for_seconds(1.5, **{RECEIPT: None})

        with sender_of(Rpc(proxy.url), chain, account, journal) as sender:
            assert sender.send(intent, key).tx_hash == first.tx_hash

        assert sent(chain, account) == [first.tx_hash]

    def test_nodes_that_have_dropped_an_old_receipt(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path
    ) -> None:
        """The journal has seen it mined: an index that is pruned later is no reason to repeat."""
        intent = chain.contracts.market.create_task(fresh())
        with sender_of(Rpc(proxy.url), chain, account, journal, stand_in=False) as sender:
            receipt = sender.send(intent, "K")
            proxy.before = for_seconds(60, **{RECEIPT: None})

            with pytest.raises(TransactionError) as refused:
                sender.send(intent, "K")
            proxy.before = lambda request: None
            again = sender.send(intent, "K")

        assert receipt.tx_hash in refused.value.message
        assert sent(chain, account) == [receipt.tx_hash] == [again.tx_hash]

    def test_nonce_too_low_from_nodes_that_index_late(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, account: Account, journal: Path
    ) -> None:
        """They took it, mined it, deny it and can't show it yet."""

        def deny(request: Request, answer: Answer) -> Answer:
            if request["method"] != SEND:
                return answer
            return {"id": request["id"], "error": {"code": -32000, "message": "nonce too low"}}

        for node in nodes:
            node.after, node.before = deny, for_seconds(2.5, **{RECEIPT: None})
        with sender_of(connect(), chain, account, journal) as sender:
            receipt = sender.send(chain.contracts.market.create_task(fresh()), "K")

        assert sent(chain, account) == [receipt.tx_hash]

    @KEYS
    def test_a_nonce_that_another_wallet_took_is_noticed(
        self,
        chain: Chain,
        nodes: list[Proxy],
        connect: Connect,
        account: Account,
        journal: Path,
        key: str | None,
    ) -> None:
        """What can't be mined any more is signed anew, also with several endpoints."""
        for node in nodes:
            node.before = refuse("internal error")
        description = fresh()
        intent = chain.contracts.market.create_task(description)
        with sender_of(connect(), chain, account, journal) as sender:
            with pytest.raises(TransactionError):
                sender.send(intent, key)
            account.send(chain.contracts.market.create_task(fresh()))  # another journal
            for node in nodes:
                node.before = lambda request: None

            receipt = sender.send(intent, key)

        assert sent(chain, account, description) == [receipt.tx_hash]
        assert len(sent(chain, account)) == 2


class TestRefusedAndTaken:
    """Somebody has the bytes of a transaction that was refused."""

    @KEYS
    def test_a_node_takes_it_and_dies_and_the_next_one_refuses(
        self,
        chain: Chain,
        proxy: Proxy,
        account: Account,
        journal: Path,
        key: str | None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """A fail-over: A comes back with it, B's refusal on repeating proves nothing."""
        monkeypatch.setattr("datatoken.chain.transactions.REBROADCAST_SECONDS", 0.1)
        intent, pool = chain.contracts.market.create_task(fresh()), list[str]()

        proxy.before = swallow(pool)
        with proxy_to(chain.url) as other:
            other.before = refuse("transaction underpriced")
            urls = [proxy.url, other.url]
            with sender_of(Rpc(urls), chain, account, journal, receipt_timeout=1.5) as sender:
                waiting = sender.submit(intent, key)
                monkeypatch.setattr(proxy, "answer", lambda request: None)  # A is gone
                with pytest.raises(TransactionPendingError) as pending:
                    sender.wait(waiting)
                monkeypatch.undo()
                chain.rpc.request(SEND, [pool[0]])  # A is back, and has passed it on

                receipt = sender.send(intent, key)

        assert "underpriced" in pending.value.message
        assert sent(chain, account) == [receipt.tx_hash] == [waiting.tx_hash]

    def test_the_first_of_two_takes_it_and_the_second_refuses(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path
    ) -> None:
        """The first node's answer is lost, so the second's refusal comes to the first send."""
        intent = chain.contracts.market.create_task(fresh())
        proxy.after = lambda request, answer: None if request["method"] == SEND else answer
        with proxy_to(chain.url) as other:
            other.before = refuse("insufficient funds for gas * price + value")
            with sender_of(Rpc([proxy.url, other.url]), chain, account, journal) as sender:
                with pytest.raises(TransactionError):
                    sender.send(intent, "K")

                receipt = sender.send(intent, "K")

        assert sent(chain, account) == [receipt.tx_hash]

    @KEYS
    def test_a_node_refuses_what_it_takes(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path, key: str | None
    ) -> None:
        """The only node lies; the repeated command finds its transaction on the chain."""
        intent, pool = chain.contracts.market.create_task(fresh()), list[str]()
        proxy.before = refuse("transaction underpriced", pool)
        with sender_of(Rpc(proxy.url), chain, account, journal) as sender:
            with pytest.raises(TransactionError):
                sender.send(intent, key)
            chain.rpc.request(SEND, [pool[0]])
            proxy.before = lambda request: None

            receipt = sender.send(intent, key)
            again = sender.send(chain.contracts.market.create_task(fresh()))

        assert sent(chain, account) == [receipt.tx_hash, again.tx_hash]

    @KEYS
    def test_what_was_refused_is_signed_again_with_its_nonce(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path, key: str | None
    ) -> None:
        """Whoever kept the first bytes can't bring them in any more."""
        intent, pool = chain.contracts.market.create_task(fresh()), list[str]()
        proxy.before = refuse("transaction underpriced", pool)
        with sender_of(Rpc(proxy.url), chain, account, journal) as sender:
            for _ in range(2):
                with pytest.raises(TransactionError):
                    sender.send(intent, key)
            proxy.before = lambda request: None

            done = sender.submit(intent, key)
            sender.wait(done)
        for raw in pool:
            with pytest.raises(ChainUnreachableError):
                chain.rpc.request(SEND, [raw])

        assert done.entry.nonce == 0
        assert sent(chain, account) == [done.tx_hash]

    def test_another_command_takes_the_place_of_a_refused_one(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path
    ) -> None:
        """While it is not decided which of the two is mined, the first is not signed anew."""
        market, description, pool = chain.contracts.market, fresh(), list[str]()
        first, second = market.create_task(description), market.create_task(fresh())
        proxy.before = refuse("transaction underpriced", pool)
        quick = {"block_time": 0.05, "receipt_timeout": 1.0}
        with sender_of(Rpc(proxy.url), chain, account, journal, **quick) as sender:
            with pytest.raises(TransactionError):
                sender.send(first, "first")
            kept = list[str]()
            proxy.before = swallow(kept)
            sender.submit(second, "second")
            with pytest.raises(TransactionPendingError):
                sender.send(first, "first")
            chain.rpc.request(SEND, [pool[0]])  # the refused one wins
            proxy.before = lambda request: None

            receipt, other = sender.send(first, "first"), sender.send(second, "second")

        assert len(set(kept)) == 1
        assert sent(chain, account, description) == [receipt.tx_hash]
        assert sent(chain, account) == [receipt.tx_hash, other.tx_hash]

    def test_a_refused_transaction_that_was_mined_keeps_its_key(
        self, chain: Chain, proxy: Proxy, account: Account, journal: Path
    ) -> None:
        market, pool = chain.contracts.market, list[str]()
        proxy.before = refuse("transaction underpriced", pool)
        with sender_of(Rpc(proxy.url), chain, account, journal) as sender:
            with pytest.raises(TransactionError):
                sender.send(market.create_task(fresh()), "K")
            chain.rpc.request(SEND, [pool[0]])
            proxy.before = lambda request: None

            with pytest.raises(BadInputError):
                sender.send(market.create_task(fresh()), "K")

    def test_refused_by_some_of_three_and_taken_by_one(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, account: Account, journal: Path
    ) -> None:
        """Two refuse, the third takes it and its answer is lost."""
        intent, turns = chain.contracts.market.create_task(fresh()), itertools.count()
        for node in nodes[:2]:
            node.before = refuse("transaction underpriced")
        nodes[2].after = lambda request, answer: (
            None if request["method"] == SEND and next(turns) < 2 else answer
        )
        with sender_of(connect(), chain, account, journal) as sender:
            with pytest.raises(TransactionError):
                sender.send(intent, "K")
            receipt = sender.send(intent, "K")

        assert sent(chain, account) == [receipt.tx_hash]
