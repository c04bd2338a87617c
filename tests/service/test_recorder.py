"""The recorder end to end: real chain, real process, real HTTP."""

import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.rounds import check_log
from datatoken.authorization.view import History
from datatoken.chain.anvil import Anvil
from datatoken.chain.event_types import RoundLogged
from datatoken.chain.events import EventReader
from datatoken.rounds.documents import Closing
from datatoken.types import MessageKind
from tests.support.chain import Chain, fresh, wait_until
from tests.support.recorder import Governed, Running

StartRecorder = Callable[..., Running]


def logged(governed: Governed) -> list[RoundLogged]:
    events = EventReader(governed.chain.rpc, governed.chain.deployment)
    found = events.history(RoundLogged, job=governed.job)
    return [event for event in found if isinstance(event, RoundLogged)]


def test_rounds_are_logged_one_transaction_each_and_read_back_verified(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    """Two rounds: one ended by the next, one by its named members; every member has its proof.

    Acceptance: 106, 107
    """
    governed = new_job()
    running = start(governed)
    server = governed.client(running.url, governed.server_node())
    inputs = [fresh(), fresh()]

    for signed in governed.round(inputs[0]):
        acknowledged = governed.client(running.url, governed.nodes[0]).post_receipt(signed)
        assert acknowledged.is_signed()
        assert acknowledged.receipt == signed.receipt.digest()
    server.name_round(
        governed.job, run="1", kind=MessageKind.TRAIN, input_digest=inputs[1], expected=3,
        annotations={"aggregate": "sha256 of the aggregate"},
    )  # fmt: skip
    for signed in governed.round(inputs[1]):
        governed.client(running.url, governed.nodes[0]).post_receipt(signed)
    governed.wait_round(2)

    for number, node in enumerate(governed.nodes):
        follower = governed.follower(running.url, node, tmp_path / f"log-{number}.sqlite")
        log = follower.update(governed.job, *governed.head())
        assert [(group.input, len(group.members)) for group in log.groups] == [
            (inputs[0], 3),
            (inputs[1], 3),
        ]
        proofs = follower.proofs(governed.job)
        assert len(proofs) == 2
        assert all(proof.holds() for proof in proofs)
        assert [proof.header.head() for proof in proofs] == [e.head for e in logged(governed)]
    documents = server.documents(governed.job)
    assert [d.closing for d in documents] == [Closing.NEXT, Closing.COMPLETE]
    assert documents[1].annotations == {"aggregate": "sha256 of the aggregate"}
    assert len(logged(governed)) == 2
    assert running.metrics()["receipts"] == 6
    assert running.get("/healthz").json()["status"] == "ok"


def test_stalled_participant_the_round_ends_at_the_terms_timeout(
    chain: Chain, tmp_path: Path, start: StartRecorder
) -> None:
    """One participant stalling the rest: named, but silent. Its late receipt is logged too."""
    governed = Governed(chain, tmp_path / "store", chain.account(), timeout=2)
    running = start(governed)
    server = governed.client(running.url, governed.chain.a.signer)
    first, second, late = governed.round(fresh())
    about = {"run": "1", "kind": MessageKind.TRAIN, "input_digest": first.receipt.input}
    server.name_round(governed.job, members=[n.dt for n in governed.nodes], **about)

    server.post_receipt(first)
    server.post_receipt(second)
    governed.wait_round(1)
    server.post_receipt(late)
    governed.wait_round(2)

    documents = server.documents(governed.job)
    assert [d.closing for d in documents] == [Closing.TIMEOUT, Closing.LATE]
    assert [d.size for d in documents] == [2, 1]


def test_late_receipt_goes_into_the_next_document(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    governed = new_job()
    running = start(governed, linger=600)
    server = governed.client(running.url, governed.chain.a.signer)
    *early, late = governed.round(fresh())
    following = governed.round(fresh())
    for expected, group in ((2, early), (3, following)):
        receipt = group[0].receipt
        server.name_round(
            governed.job, run=receipt.run, kind=receipt.kind, input_digest=receipt.input,
            expected=expected,
        )  # fmt: skip

    for signed in early:
        server.post_receipt(signed)
    governed.wait_round(1)
    server.post_receipt(late)
    for signed in following:
        server.post_receipt(signed)
    governed.wait_round(2)

    follower = governed.follower(running.url, governed.nodes[0], tmp_path / "log.sqlite")
    log = follower.update(governed.job, *governed.head())
    assert [document.size for document in server.documents(governed.job)] == [2, 4]
    assert [len(group.members) for group in log.groups] == [3, 3]


def test_restart_in_the_middle_of_a_round_loses_and_doubles_nothing(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    """SIGKILL with a round open, and again with one on its way to the chain.

    Acceptance: 106
    """
    governed = new_job()
    running = start(governed)
    sent = [governed.round(fresh()) for _ in range(3)]
    client = governed.client(running.url, governed.nodes[0])
    client.post_receipt(sent[0][0])
    client.post_receipt(sent[0][1])
    running.kill()

    running = start(governed)
    client = governed.client(running.url, governed.nodes[0])
    for signed in (*sent[0], *sent[1], sent[2][0]):
        client.post_receipt(signed)  # the first two are sent again
    running.kill()  # the transactions of rounds 1 and 2 are in any state

    running = start(governed)
    client = governed.client(running.url, governed.nodes[0])
    client.post_receipt(sent[2][1])
    client.post_receipt(sent[2][2])
    client.post_receipt(governed.nodes[0].receipt(governed.job, fresh()))
    governed.wait_round(3)

    follower = governed.follower(running.url, governed.nodes[0], tmp_path / "log.sqlite")
    log = follower.update(governed.job, *governed.head())
    expected = {signed.receipt.digest() for group in sent for signed in group}
    assert log.included == expected
    assert [len(group.members) for group in log.groups] == [3, 3, 3]
    assert [event.round for event in logged(governed)] == [1, 2, 3]


def test_chain_out_of_reach_receipts_are_kept_and_logged_later(
    new_chain: Callable[..., Chain], tmp_path: Path, start: StartRecorder
) -> None:
    """Acceptance: 111."""
    state = tmp_path / "anvil.json"
    chain = new_chain(state=state)
    governed = Governed(chain, tmp_path / "store", chain.account())
    running = start(governed)
    client = governed.client(running.url, governed.nodes[0])
    for signed in governed.round(fresh()):
        client.post_receipt(signed)
    port = int(chain.anvil.url.rsplit(":", 1)[1])
    chain.anvil.stop()

    client.post_receipt(governed.nodes[0].receipt(governed.job, fresh()))

    wait_until(lambda: running.get("/healthz").status_code == 503)
    chain.anvil = Anvil.start(port=port, state=state)
    governed.wait_round(1)
    wait_until(lambda: running.get("/healthz").status_code == 200)
    assert client.documents(governed.job)[0].size == 3


def test_follower_makes_no_call_when_the_head_has_not_moved(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    governed = new_job()
    running = start(governed)
    node = governed.nodes[0]
    client = governed.client(running.url, node)
    for signed in governed.round(fresh()) + governed.round(fresh())[:1]:
        client.post_receipt(signed)
    governed.wait_round(1)
    head = governed.head()
    follower = governed.follower(running.url, node, tmp_path / "log.sqlite")
    log = follower.update(governed.job, *head)
    running.stop()

    assert follower.update(governed.job, *head) == log
    again = governed.follower(running.url, node, tmp_path / "log.sqlite")
    assert again.update(governed.job, *head) == log  # from its own disk
    with pytest.raises(Refused) as caught:
        follower.update(governed.job, "0x" + "01" * 28, 2)
    assert caught.value.reason is Reason.RECORDER_UNREACHABLE


def test_log_omission_by_the_recorder_an_acknowledged_receipt_is_not_in_the_log(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    """The recorder's disk is edited: the log then verifies, without the acknowledged receipt.

    Acceptance: 107
    """
    governed = new_job()
    running = start(governed)
    victim, *others = governed.nodes
    receipts = [victim.receipt(governed.job, digest) for digest in (fresh(), fresh())]
    client = governed.client(running.url, victim)
    acknowledged = [client.post_receipt(signed).receipt for signed in receipts]
    governed.wait_round(1)
    running.kill()
    with sqlite3.connect(running.folder / "state" / "recorder.sqlite") as ledger:
        ledger.execute("UPDATE receipts SET document = 1 WHERE document IS NULL")
    running = start(governed)
    client = governed.client(running.url, others[0])
    for signed in [others[0].receipt(governed.job, fresh()) for _ in range(2)]:
        client.post_receipt(signed)
    governed.wait_round(3)

    follower = governed.follower(running.url, victim, tmp_path / "log.sqlite")
    log = follower.update(governed.job, *governed.head())
    state = SimpleNamespace(head=log.head, round=log.round)
    history = History(receipts=frozenset(acknowledged), acknowledged=frozenset(acknowledged))

    assert log.included.isdisjoint(acknowledged[1:])
    assert [proof.receipt for proof in follower.proofs(governed.job)] == acknowledged[:1]
    with pytest.raises(Refused) as caught:
        check_log(state, log, history, lag=0)
    assert caught.value.reason is Reason.RECORDER_OMISSION
