"""The gatekeeper: how often it reads, what it forgets, and that out of reach means refused."""

from dataclasses import replace

import pytest

from datatoken.authorization import Reason, Refused
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.authorization.view import ChainState, Check, Grant, LogState
from datatoken.ddo import Workflow
from datatoken.ddo.canonical import canonical_bytes
from datatoken.errors import (
    BadInputError,
    ChainUnreachableError,
    LocalEnvironmentError,
    StoreError,
    WrongChainError,
)
from datatoken.types import ZERO32, JobStatus, MessageKind, sha256_hex
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    EDGECOMP,
    FAB,
    FEDAVERAGE,
    JOB,
    NETWORK,
    NOW,
    PARAMETERS,
    RUN,
    World,
    service,
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
        if len(digest) != 66:
            raise BadInputError("not a digest")
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


def test_own_state_out_of_reach_is_refused(gate):
    """A full or broken disk: what can't be counted does not run."""
    ask(gate)
    gate.history.close()

    assert refusal(gate) is Reason.STATE_UNAVAILABLE


def test_two_gates_over_one_state_file(gate, tmp_path):
    """Two processes that count in one file could both spend the last round."""
    with pytest.raises(LocalEnvironmentError, match="used by another"):
        HistoryStore(tmp_path / "history.db")


def test_state_file_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(LocalEnvironmentError, match="can't be written"):
        HistoryStore(tmp_path / "file" / "history.db")


# hostile nodes, stores, callers


def again(gate, chain, world, blocks, tmp_path, **more) -> Gatekeeper:
    """Return the gate after a restart, over the same state file."""
    gate.history.close()
    history = HistoryStore(tmp_path / "history.db")
    return Gatekeeper(world.dt("u0"), chain, blocks, history, clock=lambda: NOW, **more)


@pytest.mark.parametrize("restart", [False, True])
def test_rolled_back_view_after_a_refusal(gate, chain, world, blocks, tmp_path, restart):
    """A node that has shown a revocation can't go back behind it. Acceptance: 105, 111."""
    ask(gate)
    before = chain.state
    edge = (world.dt("maker"), world.dt("u0"))
    revoked = {**before.grants, edge: Grant(epoch=1)}
    chain.state = replace(before, block_number=110, counter=1, grants=revoked)
    assert refusal(gate) is Reason.GRANT_REVOKED

    chain.state = replace(before, block_number=105)
    if restart:
        gate = again(gate, chain, world, blocks, tmp_path)

    assert refusal(gate) is Reason.ROLLED_BACK_VIEW


def test_rolled_back_view_after_asking_beforehand(gate, chain):
    ask(gate, count=False)
    chain.state = replace(chain.state, block_number=99)

    assert refusal(gate, count=False) is Reason.ROLLED_BACK_VIEW


def test_view_of_another_chain_or_time_is_not_remembered(gate, chain):
    """A node that lies about its height can't lock the gate out of the honest ones."""
    honest = chain.state
    for wrong in ({"chain_id": 1}, {"time": NOW + 9999}):
        chain.state = replace(honest, block_number=10**9, **wrong)
        assert refusal(gate) in (Reason.WRONG_CHAIN, Reason.STALE_VIEW)
    chain.state = honest

    assert ask(gate)


def test_asking_beforehand_counts_and_pins_nothing(gate):
    assert [ask(gate, count=False, run=run).sequence for run in ("1", "2", "2")] == [1, 1, 1]
    lease = ask(gate, count=False)

    gate.commit(lease)

    assert ask(gate).sequence == 2
    with pytest.raises(Refused, match="REQUEST_REPLAYED"):
        gate.commit(replace(lease, run="4712"))


@pytest.mark.parametrize(
    "job",
    ["", "0x", "0xzz", JOB.upper(), JOB[:-2], JOB + "\n", "0x " + JOB[3:], "\ud800", "0" * 66],
)
def test_job_that_is_no_id(gate, job):
    """A job has one spelling: what is counted and logged under it can't be split."""
    assert refusal(gate, job=job) is Reason.JOB_UNKNOWN
    with pytest.raises(Refused):
        gate.work(job)


def test_job_that_was_never_posted(gate, chain):
    chain.state = replace(chain.state, job=replace(chain.state.job, status=JobStatus.NONE))

    assert refusal(gate) is Reason.JOB_UNKNOWN


def test_asset_outside_the_job_has_no_work(chain, blocks, tmp_path):
    stranger = Gatekeeper("0x" + "5" * 64, chain, blocks, HistoryStore(tmp_path / "h.db"))

    with pytest.raises(Refused, match="NOT_IN_JOB"):
        stranger.work(JOB)


def test_composite_without_an_announcement_has_no_request(gate, chain):
    chain.state = replace(chain.state, announcements={})

    assert refusal(gate) is Reason.NOT_ANNOUNCED


@pytest.mark.parametrize(
    ("named", "reason"), [(None, "REQUEST_MISSING"), ("0x12", "REQUEST_MISMATCH")]
)
def test_request_that_the_launcher_does_not_name_or_misspells(
    chain, blocks, tmp_path, named, reason
):
    """A data DT right below the algorithm: nobody announces, the launcher names the request."""
    world = World(users=1)
    world.add(
        "fintech",
        service(
            "algorithm",
            child_dts=[world.dt("u0")],
            workflows=[Workflow(set_ops=[{"0": EDGE_ID, "self": AVERAGE_ID}])],
            extra_params=world.ddos["maker"].service.extra_params,
        ),
    )
    chain.state = world.view().state
    blocks |= {sha256_hex(content): content for content in world.contents().values()}
    signed = world.request(audience=world.dt("fintech"))
    blocks[signed.digest()] = canonical_bytes(signed)
    history = HistoryStore(tmp_path / "history.db")
    gate = Gatekeeper(world.dt("u0"), chain, blocks, history, clock=lambda: NOW)

    with pytest.raises(Refused, match=reason):
        ask(gate, request=named)
    assert ask(gate, request=signed.digest()).path == (world.dt("u0"), world.dt("fintech"))
    assert refusal(gate, request=signed.digest(), run="4712") is Reason.REQUEST_REPLAYED


def test_store_that_swaps_the_request(gate, blocks, world):
    blocks[world.request().digest()] = canonical_bytes(world.request(nonce=2))

    assert refusal(gate) is Reason.REQUEST_MISMATCH


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b"[" * 10_000, b'{"request":null}'])
def test_store_that_gives_no_request(gate, blocks, world, content):
    blocks[world.request().digest()] = content

    assert refusal(gate) is Reason.REQUEST_MISMATCH


def test_store_that_gives_no_ddo(gate, chain, blocks, world):
    blocks[chain.state.records[world.dt("maker")].ddo] = b"{}"

    assert refusal(gate) is Reason.DOCUMENT_MISMATCH


def test_store_that_gives_no_operation_document(gate, blocks):
    blocks[EDGECOMP.digest()] = b"{}"

    assert refusal(gate) is Reason.OPERATION_NOT_REGISTERED


def test_operation_registered_after_the_job_was_seen(gate, chain):
    registered = chain.state.operations
    nothing = replace(registered[AVERAGE_ID], bundle=ZERO32)
    chain.state = replace(chain.state, operations={**registered, AVERAGE_ID: nothing})
    assert refusal(gate) is Reason.OPERATION_NOT_REGISTERED

    chain.state = replace(chain.state, operations=registered)

    assert ask(gate)
    assert set(gate.documents(JOB)) == {EDGE_ID, AVERAGE_ID}


def test_node_of_another_chain_is_refused_by_name(gate, chain, monkeypatch):
    def other(*_):
        raise WrongChainError("chain 1, not 31337")

    monkeypatch.setattr(chain, "snapshot", other)

    assert refusal(gate) is Reason.WRONG_CHAIN


def test_documents_of_a_job_are_read_once(gate, chain, world):
    assert gate.tree(JOB).algorithm == world.dt("fintech")
    chain.reads.clear()

    assert [work.document.name for work in gate.work(JOB)] == ["edgecomp"]
    assert chain.reads == []


def test_bundle_that_the_store_has(gate, blocks):
    work = gate.work(JOB)[0]
    blocks[work.document.bundle] = b"edgecomp"

    assert gate.bundle(work.document) == b"edgecomp"


class Log:
    """A recorder's log that the test sets."""

    def __init__(self, log: LogState) -> None:
        self.log = log

    def update(self, job, head, number):
        return self.log


def test_log_is_asked_for_and_its_lies_are_refused(gate, chain, world, blocks, tmp_path):
    gate = again(gate, chain, world, blocks, tmp_path, log=Log(LogState(round=1)))

    assert refusal(gate) is Reason.RECORDER_BEHIND


def test_failed_commit_does_not_lock_the_state_file(tmp_path):
    """A full disk refuses one message; the next one is tried anew."""
    history = HistoryStore(tmp_path / "history.db")
    history.add_receipt("0x1", JOB, b"receipt")
    with pytest.raises(OverflowError):
        history.see(1, 2**64)

    history.see(1, 7)
    history.acknowledge("0x1", b"acknowledged")

    assert history.outbox() == []
    assert history.view(JOB, None, 1).last_block == 7
    assert history.view(JOB, None, 1).acknowledged == {"0x1"}


def test_record_that_names_no_digest(gate, chain, world):
    """What a store can't even look up is a refusal too."""
    dt = world.dt("maker")
    records = {**chain.state.records, dt: replace(chain.state.records[dt], ddo="0x")}
    chain.state = replace(chain.state, records=records)

    assert refusal(gate) is Reason.MALFORMED_MESSAGE
