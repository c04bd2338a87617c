"""k of n endpoints agree, or nothing is believed. The nodes are real HTTP servers before anvil."""

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.errors import from_rpc_error
from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import RpcError
from datatoken.chain.transactions import Sender
from datatoken.errors import (
    ChainUnreachableError,
    NodesDisagreeError,
    WrongChainError,
)
from datatoken.types import ZERO32, JobStatus
from tests.support.chain import Chain, fresh
from tests.support.proxy import Answer, Proxy, Request
from tests.support.quorum import (
    Connect,
    close_job,
    frozen,
    of_block,
    of_call,
    wait_for_blocks,
)


class TestHonest:
    """What one endpoint says, three say."""

    def test_reads_are_the_same_and_pinned(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        job, algorithm, data = chain.simple_job()
        pinned: list[Any] = []

        def note(request: Request) -> None:
            if request["method"] == "eth_call":
                pinned.append(request["params"][1])

        for node in nodes:
            node.before = note
        rpc = connect()
        reader = ChainReader(rpc, chain.deployment)

        check, state = reader.check(job), reader.snapshot(job, [(data, algorithm)])

        assert check.status is JobStatus.OPEN
        assert state.records == {data: chain.contracts.tokens.token(data)}
        assert all(set(block) == {"blockHash", "requireCanonical"} for block in pinned)
        assert len(pinned) >= 4
        assert rpc.dissent == {}

    def test_a_revert_is_the_same(self, chain: Chain, connect: Connect) -> None:
        from datatoken.chain.contracts import Contracts

        algorithm = chain.mint(chain.b)
        contracts = Contracts.at(connect(), chain.network)

        with pytest.raises(type(from_rpc_error(_revert(chain, algorithm)))):
            contracts.tokens.check_closure(algorithm, [fresh()])

    def test_nodes_that_know_no_hashes_are_asked_by_number(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """EIP-1898 is missing on old nodes; the hash is compared afterwards."""

        def old(request: Request) -> Answer | None:
            if request["method"] == "eth_call" and not isinstance(request["params"][1], str):
                return {"error": {"code": -32602, "message": "invalid argument 1: no string"}}
            return None

        for node in nodes:
            node.before = old
        job, _, _ = chain.simple_job()

        assert ChainReader(connect(), chain.deployment).check(job).status is JobStatus.OPEN

    def test_transactions_and_events(self, chain: Chain, connect: Connect, tmp_path: Path) -> None:
        account, rpc = chain.account(enrol=True), connect()
        with Sender(rpc, account.signer, chain.profile, tmp_path / "journal.sqlite") as sender:
            receipt = sender.send(chain.contracts.market.create_task(fresh()))

        events = EventReader(rpc, chain.deployment).history(TaskCreated, owner=account.address)

        assert [event.tx_hash for event in events] == [receipt.tx_hash]
        chain.deployment.verify(rpc)

    def test_nodes_a_block_apart(self, chain: Chain, nodes: list[Proxy], connect: Connect) -> None:
        head = chain.rpc.block_number()
        nodes[0].before = frozen(chain)
        wait_for_blocks(chain, 1)

        assert connect().pin().number > head


class TestLyingNode:
    """One of three says what is not so. Acceptance: 111."""

    def test_forged_answer_of_a_view_call(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        job, _, _ = chain.simple_job()
        nodes[0].after = of_call(close_job)
        rpc = connect()
        reader = ChainReader(rpc, chain.deployment)

        found = {reader.check(job).status for _ in range(10)}

        assert found == {JobStatus.OPEN}

    def test_node_that_equivocates(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """It says one thing to one question and another to the next. Acceptance: 111."""
        job, _, _ = chain.simple_job()
        lie = of_call(close_job)
        turns = itertools.cycle((True, False))
        nodes[2].after = lambda request, answer: lie(request, answer) if next(turns) else answer
        reader = ChainReader(connect(), chain.deployment)

        assert {reader.check(job).status for _ in range(10)} == {JobStatus.OPEN}

    def test_forged_answer_and_nobody_to_decide(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        job, _, _ = chain.simple_job()
        nodes[0].after = of_call(close_job)
        rpc = connect(urls=[nodes[0].url, nodes[1].url])

        with pytest.raises(NodesDisagreeError) as refused:
            ChainReader(rpc, chain.deployment).check(job)

        assert refused.value.code == "NODES_DISAGREE"
        assert set(rpc.dissent) == {nodes[0].url, nodes[1].url}

    def test_gate_is_told_which_refusal_it_is(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        nodes[0].after = of_call(close_job)
        reader = ChainReader(connect(urls=[nodes[0].url, nodes[1].url]), chain.deployment)
        late = ChainReader(connect(clock=lambda: time.time() + 31), chain.deployment)

        for one, reason in ((reader, Reason.NODES_DISAGREE), (late, Reason.STALE_VIEW)):
            with pytest.raises(Refused) as refused, as_refusals():
                one.check(ZERO32)
            assert refused.value.reason is reason

    def test_forged_revert(self, chain: Chain, nodes: list[Proxy], connect: Connect) -> None:
        job, _, _ = chain.simple_job()
        nodes[0].before = lambda request: (
            {"error": {"code": 3, "message": "execution reverted", "data": "0x"}}
            if request["method"] == "eth_call"
            else None
        )

        reader = ChainReader(connect(), chain.deployment)

        assert {reader.check(job).status for _ in range(5)} == {JobStatus.OPEN}

    @pytest.mark.parametrize(
        "fields",
        [
            {"hash": "0x" + "11" * 32},
            {"number": hex(2**40), "hash": "0x" + "11" * 32},
            {"number": hex(2**40)},
            {"number": "0x1"},
            {"timestamp": "0x1"},
            {"timestamp": hex(2**62)},
            {"hash": "nonsense"},
            {"number": hex(2**200)},
        ],
    )
    def test_forged_block(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, fields: dict[str, str]
    ) -> None:
        """Acceptance: 111."""
        nodes[1].after = of_block(**fields)
        rpc = connect()

        for _ in range(3):
            block = rpc.pin()

            true = chain.rpc.request("eth_getBlockByNumber", [hex(block.number), False])
            assert (true["hash"], int(true["timestamp"], 16)) == (block.hash, block.time)

    def test_forged_block_and_nobody_to_decide(self, nodes: list[Proxy], connect: Connect) -> None:
        """Acceptance: 111."""
        nodes[1].after = of_block(hash="0x" + "11" * 32)

        with pytest.raises(NodesDisagreeError):
            connect(urls=[nodes[0].url, nodes[1].url]).pin()

    def test_another_chain(self, nodes: list[Proxy], connect: Connect) -> None:
        """Acceptance: 111."""
        for node in nodes[:2]:
            node.before = lambda request: (
                {"result": "0x1"} if request["method"] == "eth_chainId" else None
            )
        rpc = connect()

        with pytest.raises(WrongChainError):
            rpc.verify_chain(31337)
        with pytest.raises(ChainUnreachableError):
            rpc.pin()

    def test_left_out_event(self, chain: Chain, nodes: list[Proxy], connect: Connect) -> None:
        """Acceptance: 111."""
        task = chain.task(chain.b)
        nodes[0].before = lambda request: (
            {"result": []} if request["method"] == "eth_getLogs" else None
        )

        events = EventReader(connect(), chain.deployment).history(TaskCreated)

        assert task in [event.id for event in events]  # type: ignore[attr-defined]

    def test_forged_refusal_of_a_transaction(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """ "Nonce too low" from one node must not make us sign the transaction a second time."""
        account = chain.account(enrol=True)
        nodes[0].before = lambda request: (
            {"error": {"code": -32000, "message": "nonce too low"}}
            if request["method"] == "eth_sendRawTransaction"
            else None
        )
        with Sender(connect(), account.signer, chain.profile, tmp_path / "journal") as sender:
            sender.send(chain.contracts.market.create_task(fresh()))

        events = EventReader(chain.rpc, chain.deployment).history(
            TaskCreated, owner=account.address
        )
        assert len(events) == 1

    def test_forged_receipt(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """A receipt that only one node has is none: nothing counts as done that is not."""
        account = chain.account(enrol=True)
        receipt = account.send(chain.contracts.market.create_task(fresh()))
        ask = ("eth_getTransactionReceipt", [receipt.tx_hash])
        for node in nodes[1:]:
            node.before = lambda request: (
                {"result": None} if request["method"] == "eth_getTransactionReceipt" else None
            )

        assert connect().request(*ask) is None
        assert connect(urls=[nodes[0].url, nodes[1].url]).request(*ask) is None
        for node in nodes:
            node.before = lambda request: None
        assert connect().request(*ask)["status"] == "0x1"


def _revert(chain: Chain, algorithm: str) -> RpcError:
    tokens = chain.contracts.tokens
    entry = tokens.artifact.functions["checkClosure"]
    words = [bytes.fromhex(fresh()[2:])]
    data = entry.selector + entry.encode(bytes.fromhex(algorithm[2:]), words)
    try:
        chain.rpc.eth_call(tokens.address, data)
    except RpcError as error:
        return error
    raise AssertionError("it did not revert")
