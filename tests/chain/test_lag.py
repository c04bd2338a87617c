"""One node is honest and a block behind, one lies: neither a lost event nor a refusal."""

from collections.abc import Callable
from pathlib import Path

import pytest

from datatoken.chain.events import EventReader, TaskCreated
from datatoken.chain.pinning import Block
from datatoken.chain.reader import ChainReader
from datatoken.chain.seen import FILE, SeenBlocks
from datatoken.errors import NodesDisagreeError, RolledBackViewError
from datatoken.types import JobStatus
from tests.support.chain import Chain, fresh
from tests.support.proxy import Answer, Proxy, Request
from tests.support.quorum import Connect, OneBehind, frozen, wait_for_blocks

Lie = Callable[[Request], Answer | None]


def empty_logs(request: Request) -> Answer | None:
    return {"result": []} if request["method"] == "eth_getLogs" else None


def test_event_that_one_node_hides_and_one_has_not_got(
    chain: Chain, nodes: list[Proxy], connect: Connect
) -> None:
    """Two say "no logs", and are a quorum: the event would be lost for good.

    Acceptance: 111
    """
    account = chain.account(enrol=True)
    reader = EventReader(connect(timeout=1.0), chain.deployment)
    reader.read(TaskCreated)
    receipt = account.send(chain.contracts.market.create_task(fresh()))
    behind = OneBehind(chain, receipt.block_number - 1)
    nodes[1].before, nodes[2].before = behind, empty_logs

    with pytest.raises(NodesDisagreeError):
        reader.read(TaskCreated)
    behind.there = True
    events = reader.read(TaskCreated)

    assert [event.block_number for event in events] == [receipt.block_number]


def test_event_is_read_when_the_lag_is_over(
    chain: Chain, nodes: list[Proxy], connect: Connect
) -> None:
    """A node that is always a block behind has the block a moment later. Acceptance: 111."""
    account = chain.account(enrol=True)
    reader = EventReader(connect(), chain.deployment)
    reader.read(TaskCreated)
    receipt = account.send(chain.contracts.market.create_task(fresh()))
    nodes[1].before, nodes[2].before = OneBehind(chain), empty_logs

    events = reader.read(TaskCreated)

    assert [event.block_number for event in events] == [receipt.block_number]


def test_windows_are_halved_where_a_quorum_finds_them_too_large(
    chain: Chain, nodes: list[Proxy], connect: Connect
) -> None:
    task = chain.task(chain.b)
    wait_for_blocks(chain, 20)

    def small_only(request: Request) -> Answer | None:
        if request["method"] != "eth_getLogs":
            return None
        query = request["params"][0]
        if int(query["toBlock"], 16) - int(query["fromBlock"], 16) < 3:
            return None
        return {"error": {"code": -32005, "message": "query returned too many results"}}

    nodes[0].before = nodes[1].before = small_only
    reader = EventReader(connect(), chain.deployment)
    start = chain.rpc.block_number() - 30

    found = reader.history(TaskCreated, id=task, start=max(0, start))

    assert len(found) == 1


def higher_head(chain: Chain) -> Lie:
    """Return a hook of a node that shows a block nobody has, and has no other."""

    def lie(request: Request) -> Answer | None:
        if request["method"] != "eth_getBlockByNumber":
            return None
        if request["params"][0] != "latest":
            return {"result": None}
        head = chain.rpc.request("eth_getBlockByNumber", ["latest", False])
        number = hex(int(head["number"], 16) + 1)
        return {"result": {**head, "number": number, "hash": "0x" + "11" * 32}}

    return lie


def forged_call(chain: Chain) -> Lie:
    return lambda request: (
        {"result": "0x" + "00" * 192} if request["method"] == "eth_call" else None
    )


def refused_call(chain: Chain) -> Lie:
    return lambda request: (
        {"error": {"code": -32000, "message": "x"}} if request["method"] == "eth_call" else None
    )


@pytest.mark.parametrize("lie", [higher_head, forged_call, refused_call])
def test_lag_of_one_block_is_no_refusal(
    chain: Chain, nodes: list[Proxy], connect: Connect, lie: Callable[[Chain], Lie]
) -> None:
    """Acceptance: 111."""
    job, _, _ = chain.simple_job()
    wait_for_blocks(chain, 2)
    nodes[1].before, nodes[2].before = OneBehind(chain), lie(chain)

    for _ in range(3):
        assert ChainReader(connect(), chain.deployment).check(job).status is JobStatus.OPEN


class TestSharedMemory:
    """Processes that share a state folder: none goes back behind what another has seen."""

    @pytest.mark.parametrize("more", [0, 1])
    def test_nodes_that_roll_back_for_one_process(
        self, chain: Chain, nodes: list[Proxy], connect: Connect, tmp_path: Path, more: int
    ) -> None:
        """They show it what it has seen itself, or a block more. Acceptance: 111."""
        one, two = connect(tmp_path), connect(tmp_path, timeout=1.0)
        nodes[0].before = nodes[1].before = frozen(chain)
        two.pin()
        wait_for_blocks(chain, more)
        stays = frozen(chain) if more else nodes[0].before
        nodes[0].before = nodes[1].before = lambda request: None
        wait_for_blocks(chain, 3)
        one.pin()
        nodes[0].before = nodes[1].before = stays

        with pytest.raises(RolledBackViewError):
            two.pin()

    def test_another_block_of_the_same_number(self, tmp_path: Path) -> None:
        one, two = (SeenBlocks("test", tmp_path / FILE) for _ in range(2))
        first = Block(7, "0x" + "77" * 32, 0.0)
        one.advance("latest", first)

        assert two.advance("latest", Block(7, "0x" + "88" * 32, 0.0)) == first
        assert two.last("latest") == first
