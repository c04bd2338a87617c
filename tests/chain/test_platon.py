"""A node with PlatON's rules: old opcodes, one gas price, block time in milliseconds.

The stand-in is anvil behind a real HTTP proxy; a real node is not part of the tests.
"""

from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.chain import errors
from datatoken.chain.deployment import Deployment
from datatoken.chain.events import (
    EventReader,
    Granted,
    JobClosed,
    JobPaused,
    JobPosted,
    JobReopened,
    Revoked,
    RoundLogged,
    TokenMinted,
)
from datatoken.chain.profiles import BUILT_IN, load_profile, profile_of_chain
from datatoken.chain.rpc import Rpc, RpcError
from datatoken.chain.stand_in import EXTRA_BYTES, StandIn, start_network
from datatoken.chain.web3 import connect, contract
from datatoken.errors import BadInputError, ChainUnreachableError, LocalEnvironmentError
from datatoken.types import AssetKind, JobStatus
from tests.support.chain import Chain, fresh, start_chain

EMPTY_HEAD = "0x" + "00" * 28


@pytest.fixture(scope="module")
def platon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    started = start_chain(tmp_path_factory.mktemp("platon"), profile="platon-stand-in")
    yield started
    started.close()


def test_times_are_seconds_everywhere(platon: Chain) -> None:
    """Acceptance: 97 (PlatON)."""
    job, algorithm, data = platon.simple_job()

    state = platon.reader().snapshot(job, [(data, algorithm)])
    (event,) = EventReader(platon.rpc, platon.deployment).history(TokenMinted, dt=data)

    assert isinstance(platon.anvil, StandIn)
    with Rpc(platon.anvil.node_url) as node:
        inside = node.request("eth_getBlockByNumber", [hex(state.block_number), False])
    shown = platon.rpc.request("eth_getBlockByNumber", [hex(state.block_number), False])
    assert int(inside["timestamp"], 16) > 10**11
    assert state.time == int(inside["timestamp"], 16) // 1000 == int(shown["timestamp"], 16)
    assert state.chain_id == 20250407
    assert abs(state.records[data].minted_at - state.time) < 60
    assert abs(state.job.posted_at - state.time) < 60
    assert event.time is None  # older nodes give no time with a log


def test_the_life_of_a_job(platon: Chain) -> None:
    """Mint, grant, post, log, pause, reopen, close, revoke; traced by events afterwards.

    Acceptance: 17, 40, 97 (PlatON).
    """
    owner, market = platon.users[0], platon.contracts.market
    leaf = platon.mint(owner)
    composite = platon.mint(platon.a, children=[leaf])
    algorithm = platon.mint(platon.b, AssetKind.ALGORITHM, [composite])
    with pytest.raises(errors.MissingGrant):
        platon.post(platon.b, algorithm, [composite, leaf])
    platon.grant(owner, leaf, composite, expiry=platon.time() + 3600, rounds=10)
    platon.grant(platon.a, composite, algorithm)
    operation = platon.register()
    job = platon.post(platon.b, algorithm, [composite, leaf])
    logged = platon.b.send(platon.contracts.log.append(job, EMPTY_HEAD, fresh()))
    platon.b.send(market.pause(job))
    paused = platon.reader().check(job)
    platon.b.send(market.reopen(job))
    platon.b.send(market.close(job))
    owner.send(platon.contracts.tokens.revoke(leaf, composite))

    state = platon.reader().snapshot(job, [(leaf, composite)], [operation])

    assert paused.status is JobStatus.PAUSED
    assert state.job.status is JobStatus.CLOSED
    assert (state.head, state.round) == (logged.event(RoundLogged).head, 1)
    assert not state.grants[composite, leaf].active
    assert state.operations[operation].exists
    events = EventReader(platon.rpc, platon.deployment).history()
    kinds = {type(event) for event in events}
    assert kinds >= {Granted, JobPosted, RoundLogged, JobPaused, JobReopened, JobClosed, Revoked}


def test_a_grant_expires_there_too(platon: Chain) -> None:
    """Contracts compare seconds, though the block's own time is in milliseconds."""
    data = platon.mint(platon.users[1])
    algorithm = platon.mint(platon.b, AssetKind.ALGORITHM, [data])

    with pytest.raises(errors.ExpiryPassed):
        platon.grant(platon.users[1], data, algorithm, expiry=platon.time() - 1)
    platon.grant(platon.users[1], data, algorithm, expiry=platon.time() + 3600)

    assert platon.reader().grant(algorithm, data).active


def test_errors_are_typed_there_too(platon: Chain) -> None:
    """Acceptance: 69."""
    with pytest.raises(errors.NotParticipant):
        platon.mint(platon.account())


def test_the_node_is_as_strict_as_a_real_one(platon: Chain) -> None:
    """`safe` and `finalized`, newer methods and dearer views are refused; headers are long."""
    block = platon.rpc.request("eth_getBlockByNumber", ["latest", False])

    assert len(bytes.fromhex(block["extraData"][2:])) == EXTRA_BYTES
    assert "baseFeePerGas" not in block
    for tag in ("safe", "finalized"):
        with pytest.raises(RpcError):
            platon.rpc.request("eth_getBlockByNumber", [tag, False])
        with pytest.raises(RpcError):
            platon.rpc.eth_call(platon.network.view, b"", block=tag)
    with pytest.raises(RpcError):
        platon.rpc.request("eth_maxPriorityFeePerGas")
    with pytest.raises(RpcError):
        platon.rpc.eth_call(platon.network.view, b"", gas=50_000_001)


def test_a_transaction_carries_one_gas_price(platon: Chain) -> None:
    receipt = platon.users[2].send(platon.contracts.market.create_task(fresh()))

    sent = platon.rpc.request("eth_getTransactionByHash", [receipt.tx_hash])

    assert int(sent["type"], 16) == 0
    assert int(sent["gasPrice"], 16) > 0


def test_web3_reads_its_long_headers(platon: Chain) -> None:
    web3 = connect(platon.deployment)

    assert len(web3.eth.get_block("latest")["proofOfAuthorityData"]) == EXTRA_BYTES
    view = contract(web3, platon.deployment, "InstitutionRegistry")
    assert view.functions.owner().call().lower() == platon.admin.address


def test_a_stopped_stand_in_goes_on_at_the_clocks_time(tmp_path: Path) -> None:
    profile, state = load_profile("platon-stand-in"), tmp_path / "state.json"
    with start_network(profile, state=state) as first, Rpc(first.url) as rpc:
        before = rpc.block_number()
    with pytest.raises(ChainUnreachableError):
        Rpc(first.url).chain_id()

    with start_network(profile, first.port, state) as second, Rpc(second.url) as rpc:
        assert second.url == first.url
        assert rpc.block_number() >= before
        assert rpc.chain_id() == profile.chain_id


def test_the_profile_is_chosen_by_the_chain_id(platon: Chain) -> None:
    unnamed = platon.deployment.model_copy(update={"profile": ""})
    saved = Deployment.model_validate(unnamed.model_dump(exclude={"profile"}))

    assert profile_of_chain(210425).name == "platon"
    assert profile_of_chain(20250407).name == "platon-dev"
    assert saved.network_profile() == BUILT_IN["platon-dev"]
    with pytest.raises(BadInputError):
        profile_of_chain(1)


def test_nothing_local_plays_a_real_network() -> None:
    with pytest.raises(LocalEnvironmentError):
        start_network(load_profile("platon"))
