"""One node of three forges prices, estimates and refusals, and decides nothing."""

import itertools
from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken.chain import errors
from datatoken.chain.artifacts import load_artifact
from datatoken.chain.contracts import Contracts
from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.refusals import RefusedByAllError, refused_together
from datatoken.chain.rpc import RpcError
from datatoken.chain.transactions import Sender
from datatoken.errors import ChainUnreachableError, NodesDisagreeError, TransactionError
from datatoken.service.ledger import Pending
from datatoken.service.logger import ChainAppender
from tests.support.chain import Account, Chain, fresh, wait_until
from tests.support.proxy import Answer, Proxy, Request
from tests.support.quorum import Connect

SEND = "eth_sendRawTransaction"
Hook = Callable[[Request], Answer | None]


def forged(method: str, **answer: object) -> Hook:
    """Return a hook that answers one method."""
    return lambda request: answer if request["method"] == method else None


def revert_with(data: str) -> Hook:
    """Return a hook of a node at which every estimate reverts."""
    error = {"code": 3, "message": "execution reverted", "data": data}
    return forged("eth_estimateGas", error=error)


def stale_head(stored: bytes) -> str:
    """Return the revert of a log that holds another head."""
    entries = load_artifact("RoundLog").of_kind("error")
    entry = next(one for one in entries if one.name == "StaleHead")
    return "0x" + (entry.selector + entry.encode(stored, bytes(28))).hex()


def tasks(chain: Chain, account: Account) -> list[str]:
    """Return the transactions in which an account created tasks."""
    events = EventReader(chain.rpc, chain.deployment).history(TaskCreated, owner=account.address)
    return [event.tx_hash for event in events]


class TestForgedEstimate:
    """The gas limit, and whether a transaction would revert."""

    def test_forged_stale_head_does_not_confirm_a_round(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """A recorder that believed it would note a round as logged that is on no chain."""
        account, rpc = chain.account(), connect()
        pending = Pending("0x" + "01" * 32, 1, "0x" + "00" * 28, "0x" + "77" * 28, "0x" + "02" * 32)
        nodes[0].before = revert_with(stale_head(bytes.fromhex(pending.head[2:])))
        with Sender(rpc, account.signer, chain.profile, tmp_path / "journal") as sender:
            appender = ChainAppender(sender, Contracts.at(rpc, chain.network).log)

            logged = appender.wait(appender.submit(pending))

        receipt = chain.rpc.request("eth_getTransactionReceipt", [logged.tx])
        assert receipt["status"] == "0x1"
        assert len(receipt["logs"]) == 1

    @pytest.mark.parametrize("gas", ["0x5208", "0x7fffffffffff"])
    def test_forged_estimate_does_not_block_the_account(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path, gas: str
    ) -> None:
        account = chain.account(enrol=True)
        nodes[0].before = forged("eth_estimateGas", result=gas)
        with Sender(connect(), account.signer, chain.profile, tmp_path / "journal") as sender:
            for _ in range(2):
                receipt = sender.send(chain.contracts.market.create_task(fresh()))
                sent = chain.rpc.request("eth_getTransactionByHash", [receipt.tx_hash])
                assert receipt.gas_used < int(sent["gas"], 16) < 2 * receipt.gas_used

    @pytest.mark.parametrize("answer", [None, "nonsense", "-0x5", hex(2**300), {}])
    def test_estimate_that_is_no_number(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path, answer: object
    ) -> None:
        account = chain.account(enrol=True)
        nodes[0].before = nodes[1].before = forged("eth_estimateGas", result=answer)
        with (
            Sender(connect(), account.signer, chain.profile, tmp_path / "journal") as sender,
            pytest.raises(ChainUnreachableError) as refused,
        ):
            sender.send(chain.contracts.market.create_task(fresh()))

        assert "eth_estimateGas" in refused.value.message
        assert tasks(chain, account) == []

    def test_a_true_revert_has_its_reason_and_sends_nothing(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        stranger = chain.account()
        nodes[0].before = forged("eth_estimateGas", result="0x20000")
        with (
            Sender(connect(), stranger.signer, chain.profile, tmp_path / "journal") as sender,
            pytest.raises(errors.NotParticipant),
        ):
            sender.send(chain.contracts.market.create_task(fresh()))

        assert all(SEND not in node.methods for node in nodes)

    def test_forged_revert_and_nobody_to_decide(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        account = chain.account(enrol=True)
        nodes[0].before = revert_with(stale_head(b"\x77" * 28))
        rpc = connect(urls=[nodes[0].url, nodes[1].url])
        with (
            Sender(rpc, account.signer, chain.profile, tmp_path / "journal") as sender,
            pytest.raises(ChainUnreachableError) as refused,
        ):
            sender.send(chain.contracts.market.create_task(fresh()))

        assert not isinstance(refused.value, RpcError)

    def test_forged_reason_of_a_call(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """A call that is given as a request needs a quorum as every view call does."""
        error = {"code": 3, "message": "execution reverted", "data": stale_head(b"\x77" * 28)}
        job, _, _ = chain.simple_job()
        nodes[0].before = forged("eth_call", error=error)
        fields = {"to": chain.contracts.market.address, "data": "0x" + job[2:10]}
        rpc = connect()

        with pytest.raises(RpcError) as refused:
            rpc.request("eth_call", [fields, "latest"])
        assert refused.value.data != stale_head(b"\x77" * 28)
        made = rpc.request("eth_call", [{"data": "0x60006000f3"}, "latest"])  # creation, empty
        assert made == "0x"
        with pytest.raises(NodesDisagreeError):
            connect(urls=[nodes[0].url, nodes[1].url]).request("eth_call", [fields, "latest"])


class TestForgedPrice:
    """What a transaction pays."""

    @pytest.mark.parametrize("price", [10**14, 0])
    def test_forged_tip_is_not_paid(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, price: int
    ) -> None:
        true = int(chain.rpc.request("eth_maxPriorityFeePerGas"), 16)
        nodes[0].before = forged("eth_maxPriorityFeePerGas", result=hex(price))

        assert int(connect().request("eth_maxPriorityFeePerGas"), 16) == true

    def test_forged_gas_price_is_not_paid(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        account = chain.account(enrol=True)
        old = chain.profile.model_copy(update={"legacy_gas_price": True})
        nodes[0].before = forged("eth_gasPrice", result=hex(10**14))
        with Sender(connect(), account.signer, old, tmp_path / "journal") as sender:
            receipt = sender.send(chain.contracts.market.create_task(fresh()))

        sent = chain.rpc.request("eth_getTransactionByHash", [receipt.tx_hash])
        assert int(sent["gasPrice"], 16) < 10**11

    def test_a_node_of_another_chain_gives_no_price(
        self, nodes: list[Proxy], connect: Connect
    ) -> None:
        for node in nodes[:2]:
            node.before = lambda request: (
                {"result": "0x1"} if request["method"] in ("eth_chainId", "eth_gasPrice") else None
            )

        with pytest.raises(ChainUnreachableError):
            connect().request("eth_gasPrice")

    def test_nodes_without_tips(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """The method is optional; the liar's word for it does not count then either."""
        account = chain.account(enrol=True)
        missing = {"code": -32601, "message": "the method does not exist"}
        nodes[0].before = forged("eth_maxPriorityFeePerGas", result=hex(10**14))
        for node in nodes[1:]:
            node.before = forged("eth_maxPriorityFeePerGas", error=missing)
        with Sender(connect(), account.signer, chain.profile, tmp_path / "journal") as sender:
            receipt = sender.send(chain.contracts.market.create_task(fresh()))

        sent = chain.rpc.request("eth_getTransactionByHash", [receipt.tx_hash])
        assert int(sent["maxPriorityFeePerGas"], 16) == 10**9


class TestRefusals:
    """Refusals of one kind are counted, never of two kinds together."""

    def test_a_liars_refusal_and_a_busy_node_do_not_send_twice(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """One lies, an honest one is busy, the third takes it and its answer is lost."""
        account = chain.account(enrol=True)
        first = {node.url: itertools.count() for node in nodes}

        def once(node: Proxy, text: str) -> Hook:
            error = {"code": -32000, "message": text}
            return lambda request: (
                {"error": error}
                if request["method"] == SEND and not next(first[node.url])
                else None
            )

        nodes[0].before = once(nodes[0], "nonce too low")
        nodes[1].before = once(nodes[1], "request rate exceeded")
        nodes[2].after = lambda request, answer: (
            None if request["method"] == SEND and next(first[nodes[2].url]) < 2 else answer
        )
        intent = chain.contracts.market.create_task(fresh())
        with Sender(connect(), account.signer, chain.profile, tmp_path / "journal") as sender:
            with pytest.raises(ChainUnreachableError):
                sender.send(intent, "K")

            receipt = sender.send(intent, "K")
        wait_until(lambda: len(tasks(chain, account)) > 0)

        assert tasks(chain, account) == [receipt.tx_hash]

    @pytest.mark.parametrize(
        ("texts", "found"),
        [
            (["nonce too low", "request rate exceeded"], None),
            (["nonce too low", "insufficient funds"], None),
            (["nonce too low", "nonce too low"], "nonce too low"),
            (["nonce too low", "nonce too low", "insufficient funds"], "nonce too low"),
            (["nonce too low", "already known"], "already known"),
            (["nonce too low"] * 2 + ["insufficient funds"] * 2, None),
        ],
    )
    def test_kinds_are_counted_apart(self, texts: list[str], found: str | None) -> None:
        given = refused_together([RpcError(SEND, -32000, text, None) for text in texts], 4, 2)

        assert (given.text if given else None) == found

    def test_rejected_by_all_is_said(self) -> None:
        poor = [RpcError(SEND, -32000, "insufficient funds for gas", None) for _ in range(3)]

        assert isinstance(refused_together(poor, 3, 2), RefusedByAllError)
        assert not isinstance(refused_together(poor[:2], 3, 2), RefusedByAllError)

    def test_an_account_without_funds_is_told_so(
        self, chain: Chain, connect: Connect, tmp_path: Path
    ) -> None:
        from datatoken.chain.signer import Signer

        poor = Signer.random()
        chain.a.send(chain.contracts.institutions.enrol_user(poor.address))
        intent = chain.contracts.market.create_task(fresh())
        with Sender(connect(), poor, chain.profile, tmp_path / "journal") as sender:
            with pytest.raises(TransactionError):
                sender.send(intent)
            chain.anvil.fund(poor.address)

            assert sender.send(intent).event(TaskCreated).owner == poor.address
