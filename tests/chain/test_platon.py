"""A node with PlatON's rules: old opcodes, one gas price, block time in milliseconds."""

from collections.abc import Iterator

import pytest

from datatoken.chain import errors
from datatoken.chain.events import EventReader, TokenMinted
from tests.support.chain import Chain, start_chain


@pytest.fixture(scope="module")
def platon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    started = start_chain(tmp_path_factory.mktemp("platon"), profile="platon-stand-in")
    yield started
    started.close()


def test_contracts_deploy_and_times_are_seconds_everywhere(platon: Chain) -> None:
    """PlatON rules on the stand-in; a real node is not part of the tests."""
    job, algorithm, data = platon.simple_job()

    state = platon.reader().snapshot(job, [(data, algorithm)])
    (event,) = EventReader(platon.rpc, platon.deployment).history(TokenMinted, dt=data)

    block = platon.rpc.request("eth_getBlockByNumber", [hex(state.block_number), False])
    assert int(block["timestamp"], 16) > 10**11
    assert state.time == int(block["timestamp"], 16) // 1000
    assert state.chain_id == 20250407
    assert abs(state.records[data].minted_at - state.time) < 60
    assert abs(state.job.posted_at - state.time) < 60
    assert event.time is not None
    assert abs(event.time - state.time) < 60


def test_errors_are_typed_there_too(platon: Chain) -> None:
    """Acceptance: 69."""
    with pytest.raises(errors.NotParticipant):
        platon.mint(platon.account())
