"""The event reader: in order, each event once, from where it stopped."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datatoken.chain.events import Event, EventReader, Granted, JobPosted, TaskCreated, TokenMinted
from datatoken.chain.rpc import Rpc
from datatoken.errors import BadInputError, ChainUnreachableError, LocalEnvironmentError
from tests.support.chain import Chain, fresh
from tests.support.proxy import Answer, Proxy, Request, proxy_to


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as made:
        yield made


def test_events_come_in_order_with_their_fields(chain: Chain) -> None:
    """Acceptance: 9, 49."""
    job, algorithm, data = chain.simple_job()
    reader = EventReader(chain.rpc, chain.deployment)

    events = reader.history(TokenMinted, Granted, JobPosted)

    mine = [
        event for event in events if data in (getattr(event, "dt", 0), getattr(event, "child", 0))
    ]
    assert [type(event) for event in mine] == [TokenMinted, Granted]
    assert mine[1].parent == algorithm  # type: ignore[attr-defined]
    posted = reader.history(JobPosted, algorithm=algorithm)
    assert [event.job for event in posted] == [job]  # type: ignore[attr-defined]
    places = [(event.block_number, event.log_index) for event in events]
    assert places == sorted(places)


def test_the_cursor_goes_on_where_it_stopped(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    reader = EventReader(chain.rpc, chain.deployment, path)
    reader.read()
    reader.commit()
    task = chain.task(chain.b)

    first = EventReader(chain.rpc, chain.deployment, path).read(TaskCreated)
    again = EventReader(chain.rpc, chain.deployment, path)
    second = again.read(TaskCreated)
    again.commit()
    third = EventReader(chain.rpc, chain.deployment, path).read(TaskCreated)

    assert [event.id for event in first] == [task]  # type: ignore[attr-defined]
    assert first == second  # nothing was committed in between: at least once
    assert third == ()


def test_no_event_twice_where_blocks_are_read_again(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    profile = chain.profile.model_copy(update={"reorg_overlap": 1000})
    found: list[Event] = []
    for _ in range(3):
        chain.task(chain.b)
        reader = EventReader(chain.rpc, chain.deployment, path, profile=profile)
        found += reader.read(TaskCreated)
        found += reader.read(TaskCreated)
        reader.commit()

    assert len({event.event_id for event in found}) == len(found) >= 3


def test_repeated_logs_of_a_node_count_once(chain: Chain, proxy: Proxy) -> None:
    task = chain.task(chain.b)

    def twice(request: Request, answer: Answer) -> Answer:
        if request["method"] != "eth_getLogs":
            return answer
        removed = [{**log, "removed": True, "logIndex": "0xff"} for log in answer["result"]]
        return {**answer, "result": answer["result"][::-1] * 2 + removed}

    proxy.after = twice
    events = EventReader(Rpc(proxy.url), chain.deployment).history(TaskCreated, id=task)

    assert len(events) == 1


def test_windows_are_halved_until_the_node_can_answer(chain: Chain, proxy: Proxy) -> None:
    chain.task(chain.b)
    everything = EventReader(chain.rpc, chain.deployment).history()
    sizes = []

    def small_only(request: Request) -> Answer | None:
        if request["method"] != "eth_getLogs":
            return None
        query = request["params"][0]
        size = int(query["toBlock"], 16) - int(query["fromBlock"], 16) + 1
        sizes.append(size)
        if size > 3:
            return {"error": {"code": -32005, "message": "query returned too many results"}}
        return None

    proxy.before = small_only
    last = everything[-1].block_number
    events = EventReader(Rpc(proxy.url), chain.deployment).history(start=last - 20, end=last)

    assert events == tuple(event for event in everything if event.block_number >= last - 20)
    assert max(sizes) == 21
    assert min(sizes) <= 3


def logs_of(result: object) -> Callable[[Request], Answer | None]:
    """Return a hook of a node that has these logs for every question."""
    return lambda request: {"result": result} if request["method"] == "eth_getLogs" else None


def test_a_node_that_always_fails(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 111."""
    reader = EventReader(Rpc(proxy.url), chain.deployment)
    position = reader.next_block
    proxy.before = lambda request: (
        {"error": {"code": -32005, "message": "no"}} if request["method"] == "eth_getLogs" else None
    )

    with pytest.raises(ChainUnreachableError):
        reader.read()
    answers: list[object] = ["text", None, ["text"], [{}]]
    for result in answers:
        proxy.before = logs_of(result)
        with pytest.raises(ChainUnreachableError):
            reader.read()

    assert reader.next_block == position


@pytest.mark.parametrize("result", [None, 7, "0x1", {}, {"number": "0xzz"}, {"number": None}])
def test_final_block_that_is_none(chain: Chain, proxy: Proxy, result: object) -> None:
    profile = chain.profile.model_copy(update={"finality": "finalized"})
    reader = EventReader(Rpc(proxy.url), chain.deployment, profile=profile)
    proxy.before = lambda request: (
        {"result": result} if request["method"] == "eth_getBlockByNumber" else None
    )

    with pytest.raises(ChainUnreachableError):
        reader.read()


def test_a_node_that_lags_does_not_set_the_reader_back(chain: Chain, proxy: Proxy) -> None:
    reader = EventReader(Rpc(proxy.url), chain.deployment)
    reader.read()
    position = reader.next_block
    proxy.before = lambda request: (
        {"result": "0x2"} if request["method"] == "eth_blockNumber" else None
    )

    assert reader.read() == ()
    assert reader.next_block == position


def test_unconfirmed_blocks_are_not_read(chain: Chain) -> None:
    task = chain.task(chain.b)
    careful = chain.profile.model_copy(update={"confirmations": 9_000})
    finalized = chain.profile.model_copy(update={"finality": "finalized"})

    assert EventReader(chain.rpc, chain.deployment, profile=careful).history(TaskCreated) == ()
    reader = EventReader(chain.rpc, chain.deployment, profile=finalized)
    assert reader.final_block() <= chain.rpc.block_number()
    assert task not in [e.id for e in reader.history(TaskCreated)]  # type: ignore[attr-defined]


def test_cursor_files_that_are_none(chain: Chain, tmp_path: Path) -> None:
    path = tmp_path / "cursor.json"
    path.write_text("{}")
    with pytest.raises(BadInputError):
        EventReader(chain.rpc, chain.deployment, path)
    path.unlink()
    reader = EventReader(chain.rpc, chain.deployment, path)
    reader.commit()
    other = chain.deployment.model_copy(update={"tokens": "0x" + "11" * 20})
    with pytest.raises(BadInputError) as refused:
        EventReader(chain.rpc, other, path)
    assert "another deployment" in refused.value.message


def test_a_cursor_in_a_folder_not_writable(chain: Chain, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    reader = EventReader(chain.rpc, chain.network, tmp_path / "file" / "cursor")

    with pytest.raises(LocalEnvironmentError):
        reader.commit()
    EventReader(chain.rpc, chain.network).commit()


def test_questions_that_make_no_sense(chain: Chain) -> None:
    reader = EventReader(chain.rpc, chain.deployment)

    with pytest.raises(BadInputError):
        reader.history(TokenMinted, Granted, dt=fresh())
    with pytest.raises(BadInputError):
        reader.history(TokenMinted, kind=1)
    with pytest.raises(BadInputError):
        reader.history(TokenMinted, dt="0x12")
