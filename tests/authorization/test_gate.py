"""The gatekeeper: how often it reads, what it forgets, and that out of reach means refused."""

from dataclasses import replace

import pytest

from datatoken.authorization import Reason, Refused
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.view import ChainState, Check, Grant
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import ChainUnreachableError, LocalEnvironmentError, StoreError
from datatoken.types import JobStatus, MessageKind, sha256_hex
from tests.authorization.simulator import (
    EDGECOMP,
    FAB,
    FEDAVERAGE,
    JOB,
    NETWORK,
    NOW,
    PARAMETERS,
    RUN,
    World,
)


class Chain:
    """A chain whose state the test sets; it counts the reads."""

    network = NETWORK

    def __init__(self, state: ChainState) -> None:
        self.state, self.reads, self.down = state, [], False

    def check(self, job):
        self._read("check")
        state = self.state
        return Check(
            state.counter, state.job.status, state.head, state.round, state.block_number, NOW
        )

    def snapshot(self, job, edges, operations):
        self._read("snapshot")
        return self.state

    def _read(self, name):
        if self.down:
            raise ChainUnreachableError("nobody answers")
        self.reads.append(name)


class Blocks(dict):
    """A store of the world's documents."""

    def get(self, digest, limit):
        if digest not in self:
            raise StoreError("no such block")
        return self[digest]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def chain(world) -> Chain:
    return Chain(world.view().state)


@pytest.fixture
def blocks(world) -> Blocks:
    contents = [*world.contents().values(), canonical_bytes(EDGECOMP)]
    contents += [canonical_bytes(FEDAVERAGE), canonical_bytes(world.request())]
    return Blocks({sha256_hex(content): content for content in contents})


@pytest.fixture
def gate(world, chain, blocks, tmp_path) -> Gatekeeper:
    history = HistoryStore(tmp_path / "history.db")
    return Gatekeeper(world.dt("u0"), chain, blocks, history, clock=lambda: NOW)


def ask(gate, **more):
    values = {
        "job": JOB,
        "run": RUN,
        "bundle": EDGECOMP.bundle,
        "artefact": FAB,
        "kind": MessageKind.TRAIN,
        "parameters": PARAMETERS,
        "records": {},
        "installed": {"numpy": "2.0.0"},
    }
    return gate.authorize(**(values | more))


def refusal(gate, **more) -> Reason:
    with pytest.raises(Refused) as caught:
        ask(gate, **more)
    return caught.value.reason


def test_one_read_a_message_when_nothing_changed(gate, chain):
    """Acceptance: 104."""
    ask(gate)
    chain.reads.clear()

    assert [ask(gate).sequence for _ in range(3)] == [2, 3, 4]
    assert chain.reads == ["check"] * 3


def test_moved_counter_costs_one_bulk_read_and_is_no_refusal(gate, chain):
    ask(gate)
    chain.reads.clear()
    chain.state = replace(chain.state, counter=1)

    assert ask(gate)
    assert chain.reads == ["check", "snapshot"]


def test_revocation_takes_effect_at_the_next_message(gate, chain, world):
    """Acceptance: 104, 105."""
    ask(gate)
    edge = (world.dt("maker"), world.dt("u0"))
    revoked = {**chain.state.grants, edge: Grant(epoch=1)}
    chain.state = replace(chain.state, counter=1, grants=revoked)

    assert refusal(gate) is Reason.GRANT_REVOKED


def test_added_permission_is_seen_although_the_counter_stands(gate, chain, world):
    edge = (world.dt("maker"), world.dt("u0"))
    granted = chain.state.grants
    chain.state = replace(chain.state, grants={**granted, edge: Grant(epoch=1)})
    assert refusal(gate) is Reason.GRANT_REVOKED
    chain.state = replace(chain.state, grants={**granted, edge: Grant(epoch=1, active=True)})

    assert ask(gate)


def test_paused_job_is_seen_without_a_bulk_read(gate, chain):
    ask(gate)
    paused = replace(chain.state.job, status=JobStatus.PAUSED)
    chain.state = replace(chain.state, job=paused)

    assert refusal(gate) is Reason.JOB_NOT_OPEN


def test_chain_out_of_reach_is_refused(gate, chain):
    """Acceptance: 111."""
    ask(gate)
    chain.down = True

    assert refusal(gate) is Reason.CHAIN_UNREACHABLE
    chain.down = False
    assert ask(gate).sequence == 2, "nothing was counted while the chain was away"


def test_store_out_of_reach_is_refused(gate, blocks):
    """Acceptance: 111."""
    blocks.clear()

    assert refusal(gate) is Reason.STORE_UNREACHABLE


def test_rolled_back_view_across_a_restart(gate, chain, world, blocks, tmp_path):
    """Acceptance: 111."""
    ask(gate)
    gate.history.close()
    chain.state = replace(chain.state, block_number=99)
    again = Gatekeeper(
        world.dt("u0"), chain, blocks, HistoryStore(tmp_path / "history.db"), clock=lambda: NOW
    )

    assert refusal(again) is Reason.ROLLED_BACK_VIEW


def test_counts_survive_a_restart(gate, chain, world, blocks, tmp_path):
    """Acceptance: 105."""
    edge = (world.dt("maker"), world.dt("u0"))
    limited = {**chain.state.grants, edge: Grant(active=True, max_rounds=2)}
    chain.state = replace(chain.state, grants=limited)
    ask(gate)
    ask(gate)
    gate.history.close()
    again = Gatekeeper(
        world.dt("u0"), chain, blocks, HistoryStore(tmp_path / "history.db"), clock=lambda: NOW
    )

    assert refusal(again) is Reason.ROUNDS_EXHAUSTED


def test_replayed_request_starts_no_second_run(gate):
    """Acceptance: 112."""
    ask(gate)

    assert refusal(gate, run="4712") is Reason.REQUEST_REPLAYED


def test_refused_message_is_not_counted(gate):
    assert refusal(gate, bundle=FAB) is Reason.OPERATION_MISMATCH

    assert ask(gate).sequence == 1


def test_store_that_swaps_the_bundle(gate, blocks):
    """Acceptance: 103."""
    work = gate.work(JOB)[0]
    blocks[work.document.bundle] = b"edgec0mp"

    with pytest.raises(Refused) as caught:
        gate.bundle(work.document)

    assert caught.value.reason is Reason.OPERATION_MISMATCH


def test_state_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalEnvironmentError, match="can't be written"):
        HistoryStore(tmp_path / "file" / "history.db")
