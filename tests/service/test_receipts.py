"""Receipts: salted, signed, on disk, and posted until the recorder's own word is there."""

from dataclasses import replace
from pathlib import Path

import pytest

from datatoken.chain.signer import Signer
from datatoken.errors import DataTokenError, LocalEnvironmentError
from datatoken.rounds.receipts import Acknowledgement, SignedReceipt
from datatoken.service.receipts import Outbox, salt_secret
from datatoken.types import sha256_hex
from tests.fl_edge.supernode.parts import JOB, MemoryAuthority, fab_of, receipt_book
from tests.support.chain import wait_until

INPUT, OUTPUT = sha256_hex(b"input"), sha256_hex(b"output")


def lease(sequence: int = 1):  # type: ignore[no-untyped-def]
    from flwr.supercore.fab import Fab
    from flwr.supercore.run import Run

    from datatoken.types import MessageKind
    from fl_edge.supernode.runs import Hints, RunFacts

    fab = fab_of()
    authority = MemoryAuthority({sha256_hex(fab)})
    facts = RunFacts(Run.create_empty(7), Fab("", fab, {}), sha256_hex(fab), Hints())
    accepted = authority.resolve(sha256_hex(fab), Hints())
    return replace(authority.authorize(accepted, facts, MessageKind.TRAIN, {}), sequence=sequence)


class Recorder:
    """A recorder's answers, signed with a real key."""

    def __init__(self) -> None:
        self.signer = Signer.random()
        self.posted: list[str] = []
        self.fails = 0
        self.account = self.signer.address

    def post(self, signed: SignedReceipt) -> Acknowledgement:
        if self.fails:
            self.fails -= 1
            raise DataTokenError("The recorder is not there.")
        digest = signed.receipt.digest()
        self.posted.append(digest)
        body = Acknowledgement.digest(digest, signed.receipt.job, self.account, 5)
        return Acknowledgement(
            receipt=digest,
            job=signed.receipt.job,
            recorder=self.account,
            time=5,
            signature=self.signer.sign_message(bytes.fromhex(body[2:])),
        )


def test_a_digest_says_nothing_about_the_reply(tmp_path: Path) -> None:
    """The owner can prove an output digest, nobody else can guess it. Acceptance: 80, 106."""
    book, _ = receipt_book(tmp_path / "history.sqlite")
    receipt = book.write(lease(), INPUT, OUTPUT).receipt
    assert receipt.output not in (OUTPUT, sha256_hex(bytes.fromhex(OUTPUT[2:])))
    assert receipt.output == book.salted(lease(), INPUT, OUTPUT)
    assert receipt.output != book.salted(lease(2), INPUT, OUTPUT)


def test_the_salt_secret_is_kept_and_private(tmp_path: Path) -> None:
    path = tmp_path / "salt.key"
    assert salt_secret(path) == salt_secret(path)
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_bytes(b"short")
    with pytest.raises(LocalEnvironmentError):
        salt_secret(path)


def test_receipts_are_posted_until_acknowledged(tmp_path: Path) -> None:
    """A recorder that is away gets them later, and a restart loses none. Acceptance: 107."""
    book, history = receipt_book(tmp_path / "history.sqlite")
    digests = [book.write(lease(n), INPUT, OUTPUT).receipt.digest() for n in (1, 2)]
    recorder = Recorder()
    recorder.fails = 1
    outbox = Outbox(history, recorder.post, lambda job: recorder.account)
    assert not outbox.post_all()
    assert recorder.posted == [digests[1]], "one receipt kept back the other"
    assert outbox.post_all()
    assert recorder.posted == [digests[1], digests[0]]
    assert history.outbox() == []
    assert history.view(JOB, None, 31337).acknowledged == set(digests)


def test_posting_goes_on_beside_the_gate(tmp_path: Path) -> None:
    book, history = receipt_book(tmp_path / "history.sqlite")
    recorder = Recorder()
    outbox = Outbox(history, recorder.post, lambda job: recorder.account)
    outbox.start()
    book.write(lease(), INPUT, OUTPUT)
    outbox.wake()
    wait_until(lambda: not history.outbox())
    outbox.stop()


@pytest.mark.parametrize("lie", ["signature", "recorder", "job", "receipt"])
def test_an_acknowledgement_that_is_not_the_recorders(tmp_path: Path, lie: str) -> None:
    """Only the job's recorder can acknowledge, and only this receipt. Acceptance: 107."""
    book, history = receipt_book(tmp_path / "history.sqlite")
    book.write(lease(), INPUT, OUTPUT)
    recorder, other = Recorder(), Recorder()

    def post(signed: SignedReceipt) -> Acknowledgement:
        honest = recorder.post(signed)
        forged = {
            "signature": {"signature": other.post(signed).signature},
            "recorder": {"recorder": other.account},
            "job": {"job": sha256_hex(b"other")},
            "receipt": {"receipt": sha256_hex(b"other")},
        }
        return honest.model_copy(update=forged[lie])

    outbox = Outbox(history, post, lambda job: recorder.account)
    assert not outbox.post_all()
    assert len(history.outbox()) == 1
