"""k of n endpoints agree, or nothing is believed. The nodes are real HTTP servers before anvil."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.chain.endpoints import MOST_WAITING
from datatoken.chain.errors import from_rpc_error
from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.panel import QuorumRules
from datatoken.chain.pinning import Block
from datatoken.chain.quorum import QuorumRpc
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.seen import FILE, SeenBlocks
from datatoken.chain.transactions import Sender
from datatoken.errors import (
    BadInputError,
    ChainUnreachableError,
    LocalEnvironmentError,
    NodesDisagreeError,
    RolledBackViewError,
    StaleViewError,
    WrongChainError,
)
from datatoken.types import ZERO32, JobStatus
from tests.support.chain import Chain, fresh
from tests.support.proxy import Answer, Proxy, Request, proxy_to

TIMEOUT = 4.0
Connect = Callable[..., QuorumRpc]


@pytest.fixture
def nodes(chain: Chain) -> Iterator[list[Proxy]]:
    with proxy_to(chain.url) as one, proxy_to(chain.url) as two, proxy_to(chain.url) as three:
        yield [one, two, three]


@pytest.fixture
def connect(chain: Chain, nodes: list[Proxy]) -> Iterator[Connect]:
    """Connect to the nodes as a gate would: two of three have to agree."""
    opened: list[QuorumRpc] = []

    def make(state: Path | None = None, quorum: int = 2, **options: Any) -> QuorumRpc:
        urls = options.pop("urls", [node.url for node in nodes])
        rules = QuorumRules(quorum, chain.deployment.chain_id, options.pop("max_age", 30.0))
        seen = SeenBlocks("test", state / FILE if state else None)
        rpc = QuorumRpc(urls, rules, seen, options.pop("timeout", TIMEOUT), **options)
        opened.append(rpc)
        return rpc

    yield make
    for rpc in opened:
        rpc.close()


def of_call(change: Callable[[bytearray], None]) -> Callable[[Request, Answer], Answer]:
    """Return a hook that changes the words of every view call's answer."""

    def lie(request: Request, answer: Answer) -> Answer:
        if request["method"] != "eth_call" or "result" not in answer:
            return answer
        content = bytearray.fromhex(answer["result"][2:])
        change(content)
        return {**answer, "result": "0x" + content.hex()}

    return lie


def of_block(**fields: str) -> Callable[[Request, Answer], Answer]:
    """Return a hook that changes fields of every block header."""

    def lie(request: Request, answer: Answer) -> Answer:
        if request["method"] != "eth_getBlockByNumber" or not answer.get("result"):
            return answer
        return {**answer, "result": {**answer["result"], **fields}}

    return lie


def frozen(chain: Chain) -> Callable[[Request], Answer | None]:
    """Return a hook of a node that has stopped following the chain where it is now."""
    head = chain.rpc.block_number()

    def stay(request: Request) -> Answer | None:
        if request["method"] == "eth_blockNumber":
            return {"result": hex(head)}
        if request["method"] != "eth_getBlockByNumber":
            return None
        tag = request["params"][0]
        number = head if tag == "latest" else int(tag, 16)
        if number > head:
            return {"result": None}
        return {"result": chain.rpc.request("eth_getBlockByNumber", [hex(number), False])}

    return stay


def hang(request: Request) -> Answer | None:
    """A node that accepts and says nothing."""
    threading.Event().wait(20)
    return {"error": {"code": -32000, "message": "too late"}}


def wait_for_blocks(chain: Chain, count: int) -> None:
    """Let the chain grow."""
    chain.rpc.request("anvil_mine", [hex(count)])


def close_job(content: bytearray) -> None:
    """Forge the status of a job's check: closed."""
    content[63] = JobStatus.CLOSED


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


class TestStaleNode:
    """A node that has stopped following the chain."""

    def test_one_of_three_does_not_hold_the_view_back(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        nodes[0].before = frozen(chain)
        wait_for_blocks(chain, 5)

        assert connect().pin().number >= chain.rpc.block_number() - 1

    def test_two_of_three_are_refused_by_the_clock(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        rpc = connect(clock=lambda: time.time() + 31)

        with pytest.raises(StaleViewError) as refused:
            rpc.pin()

        assert refused.value.code == "STALE_VIEW"

    def test_a_block_from_the_future(self, connect: Connect) -> None:
        with pytest.raises(StaleViewError):
            connect(clock=lambda: time.time() - 40).pin()

    def test_two_of_three_are_refused_by_what_was_seen(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        rpc = connect(timeout=1.0)
        old = frozen(chain)
        wait_for_blocks(chain, 3)
        rpc.pin()
        nodes[0].before = nodes[1].before = old

        with pytest.raises(RolledBackViewError) as refused:
            rpc.pin()

        assert refused.value.code == "ROLLED_BACK_VIEW"


class TestSlowAndDyingNodes:
    """Nodes that answer late, in drips, not at all, or end in the middle."""

    def test_slow_node_is_waited_for_once(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """Acceptance: 111."""
        job, _, _ = chain.simple_job()
        nodes[2].before = hang
        reader = ChainReader(connect(), chain.deployment)

        for _ in range(MOST_WAITING * 2):
            assert reader.check(job).status is JobStatus.OPEN

    def test_two_slow_nodes_end_at_the_deadline(self, nodes: list[Proxy], connect: Connect) -> None:
        """Acceptance: 111."""
        nodes[0].drip = 0.2
        nodes[1].before = hang
        rpc = connect(timeout=1.0)
        started = time.monotonic()

        with pytest.raises(ChainUnreachableError) as refused:
            rpc.pin()

        assert time.monotonic() - started < 10  # the nodes take twenty seconds and more
        assert "2 have to" in refused.value.message

    def test_slow_node_decides_where_the_others_contradict(
        self, chain: Chain, nodes: list[Proxy], connect: Connect
    ) -> None:
        """A liar must not get a refusal out of a slow honest node."""
        job, _, _ = chain.simple_job()
        nodes[0].after = of_call(close_job)

        def slow(request: Request, answer: Answer) -> Answer:
            time.sleep(0.7)
            return answer

        nodes[1].after = slow
        reader = ChainReader(connect(), chain.deployment)

        assert [reader.check(job).status for _ in range(2)] == [JobStatus.OPEN] * 2

    def test_dying_node(self, chain: Chain, nodes: list[Proxy], connect: Connect) -> None:
        """Acceptance: 111."""
        job, _, _ = chain.simple_job()
        reader = ChainReader(connect(), chain.deployment)
        reader.check(job)

        nodes[0].after = lambda request, answer: None
        assert reader.check(job).status is JobStatus.OPEN
        nodes[0].close()
        assert reader.check(job).status is JobStatus.OPEN
        nodes[1].after = lambda request, answer: None
        nodes[1].close()
        with pytest.raises(ChainUnreachableError) as refused:
            reader.check(job)

        assert not isinstance(refused.value, NodesDisagreeError)
        assert nodes[1].url in refused.value.message

    def test_too_few_are_named(self, nodes: list[Proxy], connect: Connect) -> None:
        with pytest.raises(BadInputError):
            connect(quorum=4)
        with pytest.raises(BadInputError):
            connect(urls=[nodes[0].url, nodes[0].url])


class TestRestart:
    """What was seen before a restart counts afterwards."""

    def test_nodes_that_roll_back_across_a_restart(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path
    ) -> None:
        """Acceptance: 111."""
        old = frozen(chain)
        wait_for_blocks(chain, 3)
        connect(tmp_path).pin()
        nodes[0].before = nodes[1].before = old
        again = connect(tmp_path, timeout=1.0)

        with pytest.raises(RolledBackViewError) as refused:
            again.pin()

        assert str(tmp_path / FILE) in refused.value.hint

    def test_another_history_across_a_restart(
        self, chain: Chain, connect: Connect, tmp_path: Path
    ) -> None:
        """The nodes have gone back and grown again, past what was seen. Acceptance: 111."""
        seen = SeenBlocks("test", tmp_path / FILE)
        seen.advance("latest", Block(chain.rpc.block_number(), "0x" + "11" * 32, 0.0))

        with pytest.raises(RolledBackViewError):
            connect(tmp_path).pin()

    def test_honest_nodes_across_a_restart(self, connect: Connect, tmp_path: Path) -> None:
        first = connect(tmp_path).pin()

        assert connect(tmp_path).pin().number >= first.number

    def test_two_processes_share_the_file(self, tmp_path: Path) -> None:
        one, two = (SeenBlocks("test", tmp_path / FILE) for _ in range(2))
        one.advance("latest", Block(7, "0x" + "77" * 32, 0.0))
        two.advance("latest", Block(5, "0x" + "55" * 32, 0.0))

        kept = SeenBlocks("test", tmp_path / FILE).last("latest")

        assert kept is not None
        assert kept.number == 7
        assert SeenBlocks("another", tmp_path / FILE).last("latest") is None

    @pytest.mark.parametrize("text", ["", "[]", '{"test": 1}', '{"test": {"latest": {}}}'])
    def test_damaged_memory_is_no_empty_one(self, tmp_path: Path, text: str) -> None:
        (tmp_path / FILE).write_text(text)

        with pytest.raises(LocalEnvironmentError):
            SeenBlocks("test", tmp_path / FILE)

    def test_memory_that_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        seen = SeenBlocks("test", None)
        seen.path = tmp_path / "file" / FILE

        with pytest.raises(LocalEnvironmentError):
            seen.advance("latest", Block(1, "0x" + "11" * 32, 0.0))
        assert seen.last("latest") is None


class TestDeployment:
    """What the deployment file says of endpoints."""

    def test_one_endpoint_and_a_quorum_of_one_are_as_ever(self, chain: Chain) -> None:
        two = chain.deployment.model_copy(update={"rpc_urls": (chain.url, "http://127.0.0.1:9")})

        assert type(chain.deployment.connect()) is Rpc
        assert type(two.model_copy(update={"quorum": 1}).connect()) is Rpc
        assert isinstance(two.connect(), QuorumRpc)
        assert two.voices() == 2

    def test_more_voices_than_endpoints(self, chain: Chain) -> None:
        with pytest.raises(BadInputError):
            chain.deployment.model_copy(update={"quorum": 2}).connect()

    def test_the_newest_block_is_kept_in_the_state_folder(
        self, chain: Chain, nodes: list[Proxy], tmp_path: Path
    ) -> None:
        urls = tuple(node.url for node in nodes)
        three = chain.deployment.model_copy(update={"rpc_urls": urls})

        with three.connect(state=tmp_path) as rpc:
            ChainReader(rpc, three).check(ZERO32)

        assert (tmp_path / FILE).is_file()


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
