"""Reads of a gate: one RPC each, at one block, decoded by hand."""

import subprocess
import sys
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from datatoken.authorization.view import Grant
from datatoken.chain.deployment import Deployment
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.snapshot import decode_snapshot
from datatoken.chain.words import Words
from datatoken.errors import ChainUnreachableError, WrongChainError
from datatoken.types import ZERO32, AssetKind, JobStatus
from tests.support.chain import Chain, fresh
from tests.support.proxy import Proxy, Request, proxy_to


@pytest.fixture
def proxy(chain: Chain) -> Iterator[Proxy]:
    with proxy_to(chain.url) as made:
        yield made


def test_check_is_one_rpc(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 104."""
    job, _, _ = chain.simple_job()
    reader = ChainReader(Rpc(proxy.url), chain.deployment)
    reader.verify()
    proxy.methods.clear()

    first, second = reader.check(job), reader.check(job)

    assert proxy.methods == ["eth_call", "eth_call"]
    assert first.status is JobStatus.OPEN
    assert second.block_number >= first.block_number
    assert reader.rpc.calls == 3


def test_snapshot_is_one_rpc_and_says_what_the_contracts_say(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 104."""
    job, algorithm, data = chain.simple_job()
    operation = chain.register()
    reader = ChainReader(Rpc(proxy.url), chain.deployment)

    state = reader.snapshot(job, [(algorithm, ZERO32), (data, algorithm)], [operation])

    assert proxy.methods == ["eth_call"]
    tokens = chain.contracts.tokens
    assert state.records == {algorithm: tokens.token(algorithm), data: tokens.token(data)}
    assert state.grants == {(algorithm, data): Grant(active=True)}
    assert state.operations == {operation: chain.contracts.operations.operation(operation)}
    assert state.announcements == {algorithm: ZERO32, data: ZERO32}
    assert state.chain_id == 31337
    assert state.counter == reader.check(job).counter
    assert abs(state.time - chain.time()) < 5


def test_hand_decoding_equals_the_abi_coder(chain: Chain) -> None:
    job, algorithm, data = chain.simple_job()
    operation = chain.register()
    unknown = fresh()
    edges = [(data, algorithm), (unknown, data), (algorithm, ZERO32)]

    state = chain.reader().snapshot(job, edges, [operation, unknown])
    raw = chain.contracts.view.snapshot(
        job, [dt for dt, _ in edges], [parent for _, parent in edges], [operation, unknown]
    )

    _, _, _, counter, raw_job, head, number, tokens, grants, announced, operations = raw
    assert (state.counter, state.head, state.round) == (counter, "0x" + head.hex(), number)
    assert [
        (r.owner, r.kind, r.children, r.minted_at, r.salt, r.proof, r.ddo, r.owner_active)
        for r in (state.records[dt] for dt, _ in edges)
    ] == [tuple("0x" + v.hex() if isinstance(v, bytes) else v for v in t) for t in tokens]
    assert [state.grants.get((p, d), Grant()) for d, p in edges] == [
        Grant.from_word(word) for word in grants
    ]
    assert [bytes.fromhex(state.announcements[dt][2:]) for dt, _ in edges] == list(announced)
    assert [o.retired for o in state.operations.values()] == [o[4] for o in operations]
    assert [o.publisher for o in state.operations.values()] == [o[2] for o in operations]
    job_fields = (state.job.task, state.job.task_open, state.job.guarantor)
    assert job_fields == (raw_job[1], raw_job[2], raw_job[3])


def test_what_does_not_exist_is_zero_and_no_error(chain: Chain) -> None:
    dt = fresh()

    state = chain.reader().snapshot(fresh(), [(dt, fresh())], [fresh()])

    assert state.job.status is JobStatus.NONE
    assert not state.records[dt].exists
    assert not any(operation.exists for operation in state.operations.values())


def test_a_snapshot_of_1000_dts_fits(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 104."""
    dts = [chain.mint(chain.a) for _ in range(5)]
    parent = chain.mint(chain.b, AssetKind.ALGORITHM, dts)
    chain.a.send(chain.contracts.tokens.grant_many(dts, parent))
    edges = [(dt, parent) for dt in dts] + [(fresh(), parent) for _ in range(995)]
    reader = ChainReader(Rpc(proxy.url), chain.deployment)

    state = reader.snapshot(fresh(), edges, [])

    assert proxy.methods == ["eth_call"]
    assert len(state.records) == 1000
    assert [state.grants[parent, dt].active for dt in dts] == [True] * 5


def test_a_large_tree_is_read_in_parts_at_one_block(chain: Chain, proxy: Proxy) -> None:
    """More than a view call can pay for. Acceptance: 104."""
    job, algorithm, data = chain.simple_job()
    blocks: list[object] = []
    proxy.before = lambda request: blocks.append(request["params"][1])
    edges = [(algorithm, ZERO32), (data, algorithm), *((fresh(), algorithm) for _ in range(96))]
    operation = chain.register()
    whole = chain.reader().snapshot(job, edges, [operation])

    parts = ChainReader(Rpc(proxy.url), chain.deployment, view_gas=1_000_000)
    state = parts.snapshot(job, edges, [operation])

    assert (blocks[0], len(blocks)) == ("latest", 4)
    assert blocks[1:] == [hex(state.block_number)] * 3
    assert (state.job, state.records, state.grants) == (whole.job, whole.records, whole.grants)
    assert (state.announcements, state.operations) == (whole.announcements, whole.operations)


def test_a_chain_that_moves_between_two_parts_is_refused(chain: Chain, proxy: Proxy) -> None:
    """Parts of different blocks would be a view that never was. Acceptance: 111."""
    reader = ChainReader(Rpc(proxy.url), chain.deployment, view_gas=1_000_000)
    asked = []

    def another_block(request: Request) -> None:
        asked.append(request["params"][1])
        if len(asked) == 2:  # a node that does not keep to the number
            chain.rpc.request("anvil_mine", ["0x1"])
            request["params"][1] = "latest"

    proxy.before = another_block

    with pytest.raises(ChainUnreachableError, match="moved"):
        reader.records([fresh() for _ in range(60)])


def test_many_records_are_read_at_one_block(
    chain: Chain, proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acceptance: 104."""
    monkeypatch.setattr("datatoken.chain.reader.RECORDS_AT_ONCE", 3)
    blocks: list[object] = []

    def note(request: Request) -> None:
        blocks.append(request["params"][1])

    dts = [chain.mint(chain.a) for _ in range(4)] + [fresh() for _ in range(4)]
    proxy.before = note

    records = ChainReader(Rpc(proxy.url), chain.deployment).records(dts)

    assert [records[dt] for dt in dts[:4]] == [chain.contracts.tokens.token(dt) for dt in dts[:4]]
    assert [records[dt].exists for dt in dts] == [True] * 4 + [False] * 4
    assert blocks[0] == "latest"
    assert len(blocks) == 3
    assert blocks[1] == blocks[2] != "latest"


def test_another_chain_behind_the_endpoint(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 111."""
    other = chain.deployment.model_copy(update={"chain_id": 4})

    with pytest.raises(WrongChainError):
        ChainReader(chain.rpc, other).check(fresh())
    with pytest.raises(WrongChainError):
        ChainReader(chain.rpc, other).snapshot(fresh(), [], [])


def test_the_chain_id_is_compared_again_after_an_outage(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 111."""
    reader = ChainReader(Rpc(proxy.url), chain.deployment)
    reader.check(fresh())
    proxy.before = lambda request: {"error": {"code": -32000, "message": "starting"}}
    with pytest.raises(ChainUnreachableError):
        reader.check(fresh())
    proxy.before = lambda request: {"result": "0x4"} if request["method"] == "eth_chainId" else None

    with pytest.raises(WrongChainError):
        reader.check(fresh())


def test_a_chain_without_the_contracts(chain: Chain) -> None:
    empty = chain.deployment.model_copy(update={"view": "0x" + "11" * 20})

    with pytest.raises(ChainUnreachableError):
        ChainReader(chain.rpc, empty).check(fresh())


@pytest.mark.parametrize("cut", [0, 1, 32, 600, 1000, -1, -32])
def test_a_truncated_answer(chain: Chain, proxy: Proxy, cut: int) -> None:
    """Acceptance: 111."""
    job, algorithm, data = chain.simple_job()
    proxy.after = lambda request, answer: {
        **answer,
        "result": answer["result"][: 2 + 2 * cut if cut >= 0 else 2 * cut],
    }

    with pytest.raises(ChainUnreachableError):
        ChainReader(Rpc(proxy.url), chain.deployment).snapshot(job, [(data, algorithm)], [fresh()])


def test_an_answer_to_another_question(chain: Chain, proxy: Proxy) -> None:
    """Acceptance: 111."""
    job, algorithm, data = chain.simple_job()
    fewer = chain.reader()

    def shorter(request: dict, answer: dict) -> dict:
        calls: list[str] = []
        original = fewer.rpc.request
        fewer.rpc.request = lambda method, params=(): (
            calls.append(  # type: ignore[method-assign]
                original(method, params)
            )
            or calls[-1]
        )
        fewer.snapshot(job, [], [])
        fewer.rpc.request = original  # type: ignore[method-assign]
        return {**answer, "result": calls[-1]}

    proxy.after = shorter

    with pytest.raises(ChainUnreachableError):
        ChainReader(Rpc(proxy.url), chain.deployment).snapshot(job, [(data, algorithm)], [])


@given(st.binary(max_size=1200))
def test_any_bytes_decode_or_are_refused(content: bytes) -> None:
    """Acceptance: 111."""
    try:
        state = decode_snapshot(Words(content), ZERO32, [("0x" + "11" * 32, ZERO32)], [ZERO32])
    except ChainUnreachableError:
        return
    assert len(state.records) == 1


def test_gates_load_no_web3_and_no_signing_code() -> None:
    code = (
        "import sys, datatoken.chain.reader, datatoken.chain.deployment, datatoken.store; "
        "sys.exit(any(name in sys.modules for name in ('web3', 'sqlite3', "
        "'datatoken.chain.transactions', 'datatoken.chain.signer')))"
    )

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
    assert Deployment is not None
