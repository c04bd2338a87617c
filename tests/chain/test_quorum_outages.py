"""Nodes that are stale, slow or dying, and what is remembered of them across a restart."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from datatoken.chain.endpoints import THREADS, Endpoint, LateError, gather
from datatoken.chain.pinning import Block
from datatoken.chain.quorum import QuorumRpc
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.seen import FILE, SeenBlocks
from datatoken.errors import (
    BadInputError,
    ChainUnreachableError,
    LocalEnvironmentError,
    NodesDisagreeError,
    RolledBackViewError,
    StaleViewError,
)
from datatoken.types import ZERO32, JobStatus
from tests.support.chain import Chain
from tests.support.proxy import Answer, Proxy, Request
from tests.support.quorum import Connect, close_job, frozen, hang, of_call, wait_for_blocks


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

        for _ in range(32):
            assert reader.check(job).status is JobStatus.OPEN

    def test_crowd_of_readers(self, chain: Chain, nodes: list[Proxy], connect: Connect) -> None:
        """More of them at once than nodes are asked at once: they wait, nobody is refused."""
        job, _, _ = chain.simple_job()
        for node in nodes:
            node.before = lambda request: time.sleep(0.02)
        reader = ChainReader(connect(timeout=30.0), chain.deployment)
        start = threading.Barrier(24)

        def check() -> JobStatus:
            start.wait()
            return reader.check(job).status

        with ThreadPoolExecutor(24) as pool:
            found = [pool.submit(check) for _ in range(24)]

        assert [one.result() for one in found] == [JobStatus.OPEN] * 24

    def test_hanging_node_gathers_no_questions(self, chain: Chain, nodes: list[Proxy]) -> None:
        """What nobody waits for any more is not asked when the node comes back."""
        endpoint = Endpoint(nodes[0].url, chain.deployment.chain_id, 5.0, 0.1)
        back, asked = threading.Event(), []

        def work(_: Endpoint, rpc: Rpc) -> None:
            asked.append(rpc)
            back.wait(20)

        for _ in range(3 * THREADS):
            found = gather([endpoint], work, bool, time.monotonic() + 0.2)
            assert isinstance(found.errors[endpoint.url], LateError)
        back.set()
        last = endpoint.ask(lambda rpc: rpc.chain_id())

        assert last.result(20) == chain.deployment.chain_id
        assert 1 <= len(asked) <= THREADS
        endpoint.close()

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
