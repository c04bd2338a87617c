"""A recorder whose documents verify but can't be read again, and servers that make it so."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Network
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.rounds import documents as documents_module
from datatoken.rounds.documents import MAX_DOCUMENT_BYTES, NamedRound, RoundDocument
from datatoken.rounds.grouping import Rules
from datatoken.rounds.receipts import Acknowledgement
from datatoken.service.book import RoundBook
from datatoken.service.client import LogFollower, RecorderClient
from datatoken.service.ledger import Ledger
from datatoken.types import MessageKind
from tests.support.chain import fresh
from tests.support.receipts import Node, document

NETWORK = Network(31337, *(f"0x{number:040x}" for number in range(1, 7)))
JOB, RECORDER = fresh(), "0x" + "ee" * 20


class Recorder:
    """A client whose recorder shows what the test says."""

    recorder = RECORDER

    def __init__(self, shown: list[RoundDocument]) -> None:
        self.shown = shown

    def documents(self, job: str, since: int, until: int) -> list[RoundDocument]:
        return self.shown


class Reader:
    """A chain that knows the owner of every DT."""

    network = NETWORK

    def __init__(self, owner: Signer) -> None:
        self.owner = owner

    def snapshot(self, job: str, edges: list[tuple[str, str]], operations: object = ()) -> object:
        record = SimpleNamespace(owner=self.owner.address, exists=True)
        return SimpleNamespace(records={dt: record for dt, _ in edges})


@pytest.fixture
def owner() -> Signer:
    return Signer.random()


def named(digest: str) -> NamedRound:
    members = [fresh()] * documents_module.MAX_RECEIPTS
    kind = MessageKind.TRAIN
    return NamedRound(run="1", kind=kind, input=digest, members=members, by=RECORDER)


def refusal(follower: LogFollower, shown: RoundDocument) -> Reason:
    with pytest.raises(Refused) as caught:
        follower.update(JOB, shown.head(), shown.number)
    return caught.value.reason


def test_document_that_is_too_large_to_be_read_again(owner: Signer, tmp_path: Path) -> None:
    """It would verify once, and end the gate at its next start."""
    right = document(
        NETWORK, JOB, RECORDER, [Node.of(owner, fresh(), NETWORK).receipt(JOB, "0x" + "1" * 64)]
    )
    huge = right.model_copy(update={"named": [named(fresh()) for _ in range(40)]})
    assert len(canonical_bytes(huge)) > MAX_DOCUMENT_BYTES

    follower = LogFollower(Recorder([huge]), Reader(owner), tmp_path / "log")

    assert refusal(follower, huge) is Reason.LOG_INVALID
    follower.close()
    again = LogFollower(Recorder([right]), Reader(owner), tmp_path / "log")
    assert again.update(JOB, right.head(), 1).round == 1


def test_receipt_with_a_number_that_json_does_not_carry(owner: Signer, tmp_path: Path) -> None:
    """A member and the recorder collude: the delegation is signed, and has no canonical form."""
    node = Node.of(owner, fresh(), NETWORK, expiry=2**60)
    shown = document(NETWORK, JOB, RECORDER, [node.receipt(JOB, fresh())])

    follower = LogFollower(Recorder([shown]), Reader(owner), tmp_path / "log")

    assert refusal(follower, shown) is Reason.LOG_INVALID


@pytest.mark.parametrize(
    "endpoint", ["", "nonsense", "file:///etc/passwd", "http://[::1", "https://"]
)
def test_endpoint_in_a_ddo_that_is_no_address(owner: Signer, tmp_path: Path, endpoint: str) -> None:
    """The composite's DDO names it: a gate refuses, whatever stands there."""

    def client(job: str) -> RecorderClient:
        return RecorderClient(endpoint, owner, recorder=RECORDER)

    follower = LogFollower(client, Reader(owner), tmp_path / "log")

    with pytest.raises(Refused) as caught:
        follower.update(JOB, "0x" + "1" * 56, 1)
    assert caught.value.reason is Reason.RECORDER_UNREACHABLE


def test_server_that_names_so_much_that_no_reader_takes_the_document(
    owner: Signer, tmp_path: Path
) -> None:
    """What does not fit into one document goes into the next ones; receipts are never held up."""
    ledger = Ledger(tmp_path / "ledger")
    book = RoundBook(RECORDER, NETWORK, ledger, lambda job: Rules(timeout=10), linger=1)
    digest = fresh()
    for _ in range(30):
        ledger.add_named(JOB, canonical_bytes(named(digest)), 0)
    nodes = [Node.of(owner, fresh(), NETWORK) for _ in range(2)]
    for node in nodes:
        signed = node.receipt(JOB, digest)
        word = Acknowledgement(
            receipt=signed.receipt.digest(), job=JOB, recorder=RECORDER, time=0,
            signature="0x" + "1" * 130,
        )  # fmt: skip
        book.add(signed, canonical_bytes(signed), word)
    book.tick(now=20)

    written = []
    while found := book.pending(now=40):
        ledger.confirm(found[0], "0x", 1, 1)
        written.append(ledger.documents(JOB, found[0].number - 1, 1)[0])

    assert max(map(len, written)) <= MAX_DOCUMENT_BYTES
    read = [parse_document(RoundDocument, c, "document", MAX_DOCUMENT_BYTES) for c in written]
    assert len(read[0].receipts) == 2
    assert 0 < len(read[0].named) < 30


def test_failed_commit_does_not_lock_the_ledger(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger")
    with pytest.raises(OverflowError):
        ledger.spend("0x1", "nonce", 2**64, now=0)

    assert ledger.spend("0x1", "nonce", 9, now=0)
    assert not ledger.spend("0x1", "nonce", 9, now=0)
