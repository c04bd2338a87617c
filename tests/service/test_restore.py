"""A recorder that is put back from `datatoken backup`, somewhere else. Real chain, real process."""

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

from datatoken import backup
from datatoken.types import MessageKind
from tests.service.test_recorder import logged
from tests.support.chain import fresh, wait_until
from tests.support.recorder import Governed, Running

StartRecorder = Callable[..., Running]


@contextlib.contextmanager
def elsewhere(governed: Governed, copy: Path, folder: Path) -> Iterator[Running]:
    """Restore a recorder's state into another folder, and start a recorder there."""
    backup.restore(copy, folder / "state")
    running = Running(governed, folder)
    try:
        yield running
    finally:
        running.stop()


def test_backup_taken_while_it_runs_loses_and_doubles_no_round(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    """One round logged, the next one open: the restored recorder ends it. Acceptance: 106."""
    governed = new_job()
    running = start(governed)
    server = governed.client(running.url, governed.server_node())
    first, second = governed.round(fresh()), governed.round(fresh())
    for signed in first:
        server.post_receipt(signed)
    server.name_round(
        governed.job, run="1", kind=MessageKind.TRAIN, expected=3,
        input_digest=second[0].receipt.input,
    )  # fmt: skip
    acknowledged = [server.post_receipt(signed) for signed in second[:2]]
    governed.wait_round(1)

    backup.create(running.folder / "state", tmp_path / "recorder.backup")
    running.kill()
    with elsewhere(governed, tmp_path / "recorder.backup", tmp_path / "elsewhere") as restored:
        server = governed.client(restored.url, governed.server_node())
        again = server.post_receipt(second[0])
        server.post_receipt(second[2])
        governed.wait_round(2)
        documents = server.documents(governed.job)

    assert again == acknowledged[0]
    assert [document.size for document in documents] == [3, 3]
    assert [event.round for event in logged(governed)] == [1, 2]


def test_old_copy_of_a_recorder_does_not_fork_the_log(
    new_job: Callable[..., Governed], start: StartRecorder, tmp_path: Path
) -> None:
    """The chain knows a round that the copy does not: that job is left alone, and it is said."""
    governed = new_job()
    running = start(governed)
    client = governed.client(running.url, governed.nodes[0])
    backup.create(running.folder / "state", tmp_path / "old.backup")
    for signed in (*governed.round(fresh()), governed.nodes[0].receipt(governed.job, fresh())):
        client.post_receipt(signed)
    governed.wait_round(1)
    running.kill()

    with elsewhere(governed, tmp_path / "old.backup", tmp_path / "elsewhere") as restored:
        client = governed.client(restored.url, governed.nodes[0])
        for signed in (*governed.round(fresh()), governed.nodes[0].receipt(governed.job, fresh())):
            client.post_receipt(signed)
        wait_until(lambda: restored.get("/healthz").status_code == 503)
        health = restored.get("/healthz").json()

    assert health["stuck_jobs"] == 1
    assert [event.round for event in logged(governed)] == [1]
