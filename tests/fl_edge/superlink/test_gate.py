"""The SuperLink's gate over honest values: what is admitted, counted, and let out."""

from dataclasses import replace
from pathlib import Path

import pytest

from datatoken.authorization import Reason, Refused, SignedRequest, parameters_digest
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.ddo import Terms
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ddo.operation import OperationDocument
from datatoken.types import ZERO32, MessageKind, sha256_hex
from fl_edge.fab import build_fab, effective_config, read_fab, write_fab
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY, RESUME_KEY
from fl_edge.superlink.gate import Outgoing, SuperLinkGate
from fl_edge.superlink.runs import RunBook
from tests.authorization.simulator import (
    AVERAGE_ID,
    EDGE_ID,
    JOB,
    NOW,
    World,
    operation,
    record_of,
    with_state,
)
from tests.authorization.test_gate import Blocks, Chain
from tests.fl_edge.fab.test_fab import bundle

CLIENT, SERVER = (
    bundle(config={"local-epochs": 1}),
    bundle("server", config={"num-server-rounds": 3}),
)
FAB = build_fab(CLIENT, SERVER)
RUN, OTHER_RUN = 4711, 4712


def real(kind: str, content: bytes) -> OperationDocument:
    """The simulator's operation documents, with the digest of real bundles."""
    more = {} if kind == "client" else {"lock": {}, "parameters": _server_parameters()}
    found = operation(f"{kind}-op", kind, **({"lock": {}} | more))
    return found.model_copy(update={"bundle": sha256_hex(content), "size": len(content)})


def _server_parameters() -> dict[str, object]:
    from datatoken.ddo import ParameterSpec

    return {"num-server-rounds": ParameterSpec(type="int", minimum=1, maximum=100)}


class Maker:
    """The maker's gate over a world that a test may change."""

    def __init__(self, folder: Path, **terms: object) -> None:
        self.world = World(composite_terms=Terms(**terms))  # type: ignore[arg-type]
        documents = {EDGE_ID: real("client", CLIENT), AVERAGE_ID: real("server", SERVER)}
        request = self.request()
        view = self.world.view(request)
        records = {op: record_of(document) for op, document in documents.items()}
        self.chain = Chain(with_state(view, operations=records).state)
        contents = [*self.world.contents().values(), CLIENT, SERVER, canonical_bytes(request)]
        contents += [canonical_bytes(document) for document in documents.values()]
        self.blocks = Blocks({sha256_hex(content): content for content in contents})
        history = HistoryStore(folder / "history.sqlite")
        self.keeper = Gatekeeper(
            self.world.dt("maker"), self.chain, self.blocks, history, clock=lambda: NOW
        )
        self.gate = SuperLinkGate(self.keeper, lambda: [JOB], RunBook(folder / "runs.sqlite"))

    def request(self, **more: object) -> SignedRequest:
        config = effective_config(FAB, {})
        fields = {"operation": sha256_hex(FAB), "parameters": parameters_digest(config)}
        return self.world.request(**(fields | more))

    def announce(self, request: SignedRequest | None) -> None:
        digest = request.digest() if request else ZERO32
        if request:
            self.blocks[digest] = canonical_bytes(request)
        announcements = {self.world.dt("maker"): digest}
        counter = self.chain.state.counter + 1
        self.chain.state = replace(self.chain.state, announcements=announcements, counter=counter)

    def begin(self, run: int = RUN) -> None:
        admission, lease = self.gate.admit(FAB, {})
        self.gate.begin(run, admission, lease)

    def counted(self) -> int:
        history = self.keeper.history.view(JOB, None, 31337)
        return sum(history.counts.values())


@pytest.fixture
def maker(tmp_path: Path) -> Maker:
    return Maker(tmp_path)


def message(node: int = 1, **more: object) -> Outgoing:
    fields: dict[str, object] = {
        "run": RUN,
        "kind": MessageKind.TRAIN,
        "session": "s1",
        "content": "c1",
        "node": node,
    }
    return Outgoing(**(fields | more))  # type: ignore[arg-type]


def refusal(action: object, *arguments: object) -> Reason:
    with pytest.raises(Refused) as refused:
        action(*arguments)  # type: ignore[operator]
    return refused.value.reason


def test_honest_run_is_admitted_and_counts_nothing_yet(maker: Maker) -> None:
    """Acceptance: 36, 76."""
    admission, _ = maker.gate.admit(FAB, {})

    assert admission.job == JOB
    assert admission.minimum == 4
    assert maker.counted() == 0


def test_named_job_and_found_job_are_the_same(maker: Maker) -> None:
    found, _ = maker.gate.admit(FAB, {})
    named, _ = maker.gate.admit(FAB, {JOB_KEY: JOB, REQUEST_KEY: found.request})

    assert named == found


def test_app_with_one_byte_changed(maker: Maker) -> None:
    """Swapped bundle after approval. Acceptance: 103."""
    files = dict(read_fab(FAB))
    files["client_op/main.py"] += b"#"
    swapped = write_fab(files.pop("pyproject.toml"), files)

    assert refusal(maker.gate.admit, swapped, {JOB_KEY: JOB}) is Reason.OPERATION_MISMATCH
    assert refusal(maker.gate.admit, swapped, {}) is Reason.JOB_UNKNOWN


def test_app_that_is_no_fab_at_all(maker: Maker) -> None:
    assert refusal(maker.gate.admit, b"PK", {}) is Reason.OPERATION_MISMATCH


def test_job_that_was_never_posted(maker: Maker) -> None:
    """Acceptance: 48."""
    from datatoken.types import JobStatus

    state = maker.chain.state
    none = replace(state.job, status=JobStatus.NONE, algorithm=ZERO32)
    maker.chain.state = replace(state, job=none)

    assert refusal(maker.gate.admit, FAB, {JOB_KEY: JOB}) is Reason.JOB_UNKNOWN


def test_server_before_its_owner_has_announced(maker: Maker) -> None:
    """Acceptance: 76, 77."""
    maker.announce(None)

    assert refusal(maker.gate.admit, FAB, {}) is Reason.NOT_ANNOUNCED


def test_parameters_that_were_not_signed(maker: Maker) -> None:
    """Acceptance: 112."""
    assert refusal(maker.gate.admit, FAB, {"local-epochs": 2}) is Reason.REQUEST_MISMATCH


@pytest.mark.parametrize("overrides", [{"unknown": 1}, {"local-epochs": "1"}, {RESUME_KEY: "yes"}])
def test_overrides_of_another_type_or_name(maker: Maker, overrides: dict[str, object]) -> None:
    found = refusal(maker.gate.admit, FAB, overrides)

    assert found is Reason.PARAMETERS_OUTSIDE_TERMS


def test_replayed_request_starts_no_second_run(maker: Maker) -> None:
    """Acceptance: 112."""
    admission, lease = maker.gate.admit(FAB, {})
    maker.gate.begin(RUN, admission, lease)

    assert refusal(maker.gate.admit, FAB, {}) is Reason.REQUEST_REPLAYED
    assert refusal(maker.gate.begin, OTHER_RUN, admission, lease) is Reason.REQUEST_REPLAYED


def test_run_that_was_never_admitted_sends_nothing(maker: Maker) -> None:
    assert refusal(maker.gate.release, message()) is Reason.RUN_NOT_ACCEPTED


def test_one_round_is_counted_once_for_any_number_of_members(maker: Maker) -> None:
    maker.begin()

    for node in range(50):
        maker.gate.release(message(node))

    assert maker.counted() == 1


def test_members_that_get_different_content_in_one_push_are_one_round(maker: Maker) -> None:
    maker.begin()

    numbers = {maker.gate.release(message(node, content=f"c{node}")) for node in range(5)}

    assert len(numbers) == 1
    assert maker.counted() == 1


@pytest.mark.parametrize(
    "again",
    [message(1), message(1, session="s2"), message(2, session="s2", content="c2")],
    ids=["same node in one push", "same node again", "another push"],
)
def test_every_further_round_is_authorised_and_counted(maker: Maker, again: Outgoing) -> None:
    """Acceptance: 104."""
    maker.begin()
    first = maker.gate.release(message(1))

    assert maker.gate.release(again) == first + 1
    assert maker.counted() == 2


def test_rounds_of_the_composites_grant_are_exhausted(tmp_path: Path) -> None:
    """Acceptance: 105."""
    maker = Maker(tmp_path, max_rounds=2)
    maker.begin()
    for session in ("s1", "s2"):
        maker.gate.release(message(session=session, content=session))

    third = message(session="s3", content="s3")

    assert refusal(maker.gate.release, third) is Reason.ROUNDS_EXHAUSTED


def test_revoked_mid_run_stops_at_the_round(maker: Maker) -> None:
    """Acceptance: 104, 105."""
    maker.begin()
    maker.gate.release(message())
    state, edge = maker.chain.state, (maker.world.dt("fintech"), maker.world.dt("maker"))
    revoked = replace(state.grants[edge], active=False, epoch=1)
    maker.chain.state = replace(
        state, grants={**state.grants, edge: revoked}, counter=state.counter + 1
    )

    next_round = message(session="s2", content="c2")

    assert refusal(maker.gate.release, next_round) is Reason.GRANT_REVOKED


def test_chain_out_of_reach_stops_at_the_round(maker: Maker) -> None:
    """Acceptance: 111."""
    maker.begin()
    maker.chain.down = True

    assert refusal(maker.gate.release, message()) is Reason.CHAIN_UNREACHABLE


def test_another_request_announced_mid_run(maker: Maker) -> None:
    maker.begin()
    maker.announce(maker.request(nonce=2))

    assert refusal(maker.gate.release, message()) is Reason.REQUEST_MISMATCH
    assert maker.counted() == 0


def test_withdrawn_announcement_stops_at_the_round(maker: Maker) -> None:
    maker.begin()
    maker.announce(None)

    assert refusal(maker.gate.release, message()) is Reason.NOT_ANNOUNCED


def test_admission_survives_a_restart(maker: Maker, tmp_path: Path) -> None:
    maker.begin()

    again = SuperLinkGate(maker.keeper, lambda: [JOB], RunBook(tmp_path / "runs.sqlite"))

    assert again.release(message()) == 1


def test_resumed_run_without_an_aggregate_to_go_on_from(maker: Maker) -> None:
    with pytest.raises(Refused, match="no logged aggregate"):
        maker.gate.admit(FAB, {RESUME_KEY: True})
