"""Crashes at every step between a closed round and its confirmed transaction. Real chain."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from datatoken.chain.rpc import Rpc
from datatoken.chain.transactions import Sender
from datatoken.ddo.canonical import canonical_bytes
from datatoken.roles.documents import Documents
from datatoken.service.jobs import Jobs
from datatoken.service.ledger import Ledger
from datatoken.service.logger import ChainAppender, RoundLogger
from datatoken.service.recorder import Recorder
from datatoken.types import MessageKind
from tests.support.chain import fresh
from tests.support.recorder import Governed


@dataclass
class Parts:
    """A recorder in this process."""

    ledger: Ledger
    sender: Sender
    recorder: Recorder
    appender: ChainAppender
    logger: RoundLogger


class Now:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.time = 1_800_000_000

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def clock() -> Now:
    return Now()


@pytest.fixture
def build(tmp_path: Path, clock: Now) -> Iterator[Callable[..., Parts]]:
    """Build a recorder on this test's folder; building it again is a restart."""
    with contextlib.ExitStack() as stack:

        def make(governed: Governed, journal: str = "journal") -> Parts:
            chain, account = governed.chain, governed.recorder
            ledger = Ledger(tmp_path / "ledger.sqlite")
            rpc = Rpc(chain.url)
            sender = Sender(rpc, account.signer, chain.profile, tmp_path / f"{journal}.sqlite")
            documents = Documents(chain.contracts, governed.store, chain.network)
            jobs = Jobs(account.address, chain.reader(), documents)
            recorder = Recorder(account.signer, chain.network, jobs, ledger, linger=20, clock=clock)
            appender = ChainAppender(sender, chain.contracts.log)
            for part in (ledger, sender, rpc):
                stack.callback(part.close)
            return Parts(ledger, sender, recorder, appender, RoundLogger(recorder, appender))

        yield make


def report(governed: Governed, parts: Parts) -> str:
    """Let all members report under a new input, which ends the round before."""
    digest = fresh()
    for signed in governed.round(digest):
        parts.recorder.accept(canonical_bytes(signed))
    return digest


def name(governed: Governed, parts: Parts, digest: str, **words: object) -> None:
    about = {"run": "1", "kind": MessageKind.TRAIN, "input": digest, **words}
    owner = governed.chain.a.address
    parts.recorder.name(governed.job, owner, None, canonical_bytes(about))


def test_nothing_is_logged_before_a_round_is_over(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    governed = new_job()
    parts = build(governed)
    report(governed, parts)

    assert parts.logger.step() == 0
    assert governed.head()[1] == 0


def test_crash_after_the_document_was_written_loses_no_round(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    """Acceptance: 106."""
    governed = new_job()
    parts = build(governed)
    report(governed, parts)
    report(governed, parts)
    (written,) = parts.recorder.pending()

    assert build(governed).logger.step() == 1

    assert governed.head() == (written.head, 1)


def test_crash_after_the_transaction_was_sent_doubles_no_round(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    """Acceptance: 106."""
    governed = new_job()
    parts = build(governed)
    report(governed, parts)
    report(governed, parts)
    (written,) = parts.recorder.pending()
    sent = parts.appender.submit(written)

    again = build(governed)
    assert again.logger.step() == 1

    assert governed.head() == (written.head, 1)
    assert again.ledger.pending() == []
    assert again.appender.wait(sent).gas < 60_000


def test_crash_after_mining_before_the_note_doubles_no_round(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    governed = new_job()
    parts = build(governed)
    report(governed, parts)
    report(governed, parts)
    (written,) = parts.recorder.pending()
    parts.appender.wait(parts.appender.submit(written))

    build(governed).logger.step()

    assert governed.head() == (written.head, 1)


def test_lost_journal_is_noticed_on_the_chain(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    governed = new_job()
    parts = build(governed)
    report(governed, parts)
    report(governed, parts)
    (written,) = parts.recorder.pending()
    parts.appender.wait(parts.appender.submit(written))

    again = build(governed, journal="another")
    again.logger.step()

    assert again.ledger.pending() == []
    assert again.logger.stuck == set()
    assert governed.head() == (written.head, 1)


def test_forked_log_a_recorder_never_writes_over_another_history(
    new_job: Callable[[], Governed], build: Callable[..., Parts]
) -> None:
    """The key is used elsewhere: this job stops, the other one goes on."""
    governed, other = new_job(), new_job()
    parts = build(governed)
    contracts = governed.chain.contracts
    foreign = governed.recorder.send(contracts.log.append(governed.job, "0x" + "00" * 28, fresh()))
    for job in (governed, other):
        report(job, parts)
        report(job, parts)

    parts.logger.step()

    assert foreign.gas_used > 0
    assert parts.logger.stuck == {governed.job}
    assert governed.head()[1] == other.head()[1] == 1
    assert parts.logger.step() == 0


def test_annotation_after_the_last_round_is_logged_when_it_has_waited(
    new_job: Callable[[], Governed], build: Callable[..., Parts], clock: Now
) -> None:
    """The last aggregate's digest comes when its round is logged already."""
    governed = new_job()
    parts = build(governed)
    digest = fresh()
    name(governed, parts, digest, expected=3)
    for signed in governed.round(digest):
        parts.recorder.accept(canonical_bytes(signed))
    assert parts.logger.step() == 1
    name(governed, parts, digest, annotations={"aggregate": "last"})

    assert parts.logger.step() == 0
    clock.time += 20
    assert parts.logger.step() == 1

    account = governed.chain.b.address
    pages = parts.recorder.documents(governed.job, account, None, 1)
    assert b'"aggregate":"last"' in pages[0]
    assert governed.head()[1] == 2


def test_timeout_survives_a_restart(
    new_job: Callable[[], Governed], build: Callable[..., Parts], clock: Now
) -> None:
    governed = new_job()
    report(governed, build(governed))
    parts = build(governed)

    clock.time += 3599
    assert parts.logger.step() == 0
    clock.time += 1
    assert parts.logger.step() == 1


def test_documents_come_in_pages(
    new_job: Callable[[], Governed], build: Callable[..., Parts], monkeypatch: pytest.MonkeyPatch
) -> None:
    governed = new_job()
    parts = build(governed)
    for _ in range(4):
        report(governed, parts)
        parts.logger.step()
    monkeypatch.setattr("datatoken.service.recorder.PAGE_BYTES", 1)
    monkeypatch.setattr("datatoken.service.recorder.PAGE_DOCUMENTS", 2)

    account = governed.chain.b.address
    pages = [parts.recorder.documents(governed.job, account, None, n) for n in range(4)]

    assert [len(page) for page in pages] == [1, 1, 1, 0]
