"""A reader against a recorder that lies. Three lines an attack."""

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import LogState, Network
from datatoken.chain.signer import Signer
from datatoken.rounds.checker import advance
from datatoken.rounds.documents import RoundDocument
from datatoken.rounds.receipts import SignedReceipt
from tests.support.chain import fresh
from tests.support.receipts import Node, document

NETWORK = Network(31337, *(f"0x{number:040x}" for number in range(1, 7)))
JOB, RECORDER = fresh(), "0x" + "ee" * 20


class World:
    """Two owners with a node each, and a log of two rounds."""

    def __init__(self) -> None:
        self.owners = [Signer.random(), Signer.random()]
        self.nodes = [Node.of(owner, fresh(), NETWORK) for owner in self.owners]
        self.known = {
            node.dt: owner.address for node, owner in zip(self.nodes, self.owners, strict=True)
        }
        self.inputs = [fresh(), fresh()]
        self.receipts = [[n.receipt(JOB, i) for n in self.nodes] for i in self.inputs]
        first = document(NETWORK, JOB, RECORDER, self.receipts[0])
        self.log = [first, document(NETWORK, JOB, RECORDER, self.receipts[1], after=first)]

    def read(
        self,
        documents: list[RoundDocument],
        log: LogState | None = None,
        head: str | None = None,
        number: int = 2,
    ) -> LogState:
        return advance(
            log or LogState(),
            documents,
            head or self.log[-1].head(),
            number,
            network=NETWORK,
            job=JOB,
            recorder=RECORDER,
            owners=self.known,
        )

    def refusal(self, documents: list[RoundDocument], **options: object) -> Reason:
        with pytest.raises(Refused) as caught:
            self.read(documents, **options)  # type: ignore[arg-type]
        return caught.value.reason

    def one(self, signed: SignedReceipt) -> Reason:
        """Return why a log of this receipt alone is refused."""
        made = document(NETWORK, JOB, RECORDER, [signed])
        return self.refusal([made], head=made.head(), number=1)


@pytest.fixture
def world() -> World:
    return World()


def test_a_right_log_is_read_to_the_head(world: World) -> None:
    """Acceptance: 106, 107."""
    log = world.read(world.log)

    assert (log.head, log.round) == (world.log[1].head(), 2)
    assert [group.input for group in log.groups] == world.inputs
    assert all(group.members == set(world.known) for group in log.groups)
    assert log.included == {s.receipt.digest() for group in world.receipts for s in group}


def test_reading_step_by_step_gives_the_same(world: World) -> None:
    first = world.read(world.log[:1], head=world.log[0].head(), number=1)

    assert world.read(world.log[1:], log=first) == world.read(world.log)


def test_a_recorder_may_be_ahead_of_the_view(world: World) -> None:
    log = world.read(world.log, head=world.log[0].head(), number=1)

    assert log.round == 1


def test_late_receipt_counts_for_its_own_round(world: World) -> None:
    early = document(NETWORK, JOB, RECORDER, world.receipts[0][:1])
    late = document(NETWORK, JOB, RECORDER, [*world.receipts[1], world.receipts[0][1]], after=early)

    log = world.read([early, late], head=late.head())

    assert [len(group.members) for group in log.groups] == [2, 2]


def test_log_omission_by_the_recorder_a_document_is_withheld(world: World) -> None:
    assert world.refusal(world.log[:1]) is Reason.RECORDER_BEHIND
    assert world.refusal([]) is Reason.RECORDER_BEHIND


def test_log_omission_by_the_recorder_a_receipt_left_out_shows(world: World) -> None:
    """A document without the receipt leads to another head than the one on the chain."""
    shorter = document(NETWORK, JOB, RECORDER, world.receipts[0][:1])

    assert world.refusal([shorter], head=world.log[0].head(), number=1) is Reason.LOG_FORKED


def test_forked_log_another_document_than_the_logged_one(world: World) -> None:
    other = document(NETWORK, JOB, RECORDER, world.receipts[1], after=world.log[0])

    assert world.refusal([world.log[0], other]) is Reason.LOG_FORKED


def test_forked_log_another_history_under_the_same_number(world: World) -> None:
    known = world.read(world.log[:1], head=world.log[0].head(), number=1)
    other = document(NETWORK, JOB, RECORDER, world.receipts[0])
    next_one = document(NETWORK, JOB, RECORDER, world.receipts[1], after=other)

    reason = world.refusal([next_one], log=known, head=next_one.head())

    assert reason is Reason.LOG_FORKED


def test_forked_log_the_chain_itself_shows_another_head(world: World) -> None:
    known = world.read(world.log)

    assert world.refusal([], log=known, head="0x" + "01" * 28) is Reason.LOG_FORKED


def test_documents_out_of_order_or_twice(world: World) -> None:
    assert world.refusal(world.log[::-1]) is Reason.LOG_FORKED
    assert world.refusal([world.log[0], world.log[0]]) is Reason.LOG_FORKED


def test_rolled_back_view_shows_fewer_rounds_than_before(world: World) -> None:
    known = world.read(world.log)

    reason = world.refusal([], log=known, head=world.log[0].head(), number=1)

    assert reason is Reason.ROLLED_BACK_VIEW


@pytest.mark.parametrize(
    "change",
    [
        {"chain_id": 1},
        {"log": "0x" + "99" * 20},
        {"job": fresh()},
        {"recorder": "0x" + "98" * 20},
    ],
    ids=lambda change: next(iter(change)),
)
def test_document_of_something_else(world: World, change: dict[str, object]) -> None:
    other = world.log[0].model_copy(update=change)

    assert world.refusal([other], head=other.head(), number=1) is Reason.LOG_FORKED


def test_receipt_that_nobody_signed(world: World) -> None:
    signed = world.receipts[0][0]
    forged = signed.receipt.model_copy(update={"output": fresh()})

    assert world.one(signed.model_copy(update={"receipt": forged})) is Reason.LOG_INVALID


def test_receipt_of_another_dt_under_this_delegation(world: World) -> None:
    node, other = world.nodes
    receipt = world.receipts[0][0].receipt.model_copy(update={"dt": other.dt})

    assert world.one(node.sign(receipt)) is Reason.LOG_INVALID


def test_delegation_by_somebody_else_than_the_owner(world: World) -> None:
    """A recorder can't fill a round with receipts of its own making."""
    fake = Node.of(Signer.random(), world.nodes[0].dt, NETWORK)

    assert world.one(fake.receipt(JOB, fresh())) is Reason.LOG_INVALID


def test_delegation_for_another_chain_or_registry(world: World) -> None:
    elsewhere = Network(1, *(f"0x{number:040x}" for number in range(1, 7)))
    fake = Node.of(world.owners[0], world.nodes[0].dt, elsewhere)

    assert world.one(fake.receipt(JOB, fresh())) is Reason.LOG_INVALID


def test_receipt_of_a_dt_that_is_not_on_the_chain(world: World) -> None:
    stranger = Node.of(Signer.random(), fresh(), NETWORK)

    assert world.one(stranger.receipt(JOB, fresh())) is Reason.LOG_INVALID


def test_receipt_of_another_job(world: World) -> None:
    assert world.one(world.nodes[0].receipt(fresh(), fresh())) is Reason.LOG_INVALID


def test_replayed_receipt_in_a_later_document(world: World) -> None:
    first = world.log[0]
    again = document(NETWORK, JOB, RECORDER, world.receipts[0][:1], after=first)

    assert world.refusal([first, again], head=again.head()) is Reason.LOG_INVALID
