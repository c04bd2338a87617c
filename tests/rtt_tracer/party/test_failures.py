"""What a run of five real parties must survive: each time all of them end and say why.

Every test asserts the reason at every party, that no process is left, and that the chain holds
the rounds that all parties signed, and no other.
"""

import os
import random
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from datatoken.store.cid import flatfs_key
from tests.rtt_tracer.party.conftest import Ground, Run, make_ground
from tests.rtt_tracer.world import PartyProcess, below, reports, wait_all
from tests.support.chain import Chain, wait_until

pytestmark = pytest.mark.spu
LONG = 150
"""Epochs that outlast every test: a run that goes on is never mistaken for one that ended."""


def in_the_middle(run: Run, stage: int = 1) -> None:
    """Wait until all parties have stored a stage and go on."""
    for party in run.parties:
        party.wait_for("stored", stage=stage)


def check_ended(
    run: Run, *reasons: str, killed: PartyProcess | None = None, rounds: int | None = None
) -> None:
    """All parties have ended with a reason; nothing is left, nothing more was logged."""
    wait_all(run.parties)
    ended = [one for one in run.parties if one is not killed]
    said = {one.asset.name: one.status.get("reason") for one in ended}
    assert set(said.values()) <= set(reasons), f"{said}\n{reports(run.parties)}"
    codes = {one.asset.name: one.child.returncode for one in ended}
    assert set(codes.values()) <= {4, 10}, codes
    world = run.ground.world
    assert world.left_behind() == []
    expected = run.stored() if rounds is None else rounds
    wait_until(lambda: world.logged(run.job) >= expected)
    time.sleep(2.5)  # as long as the recorder lets late receipts wait, and a block
    assert world.logged(run.job) == expected


@pytest.fixture(autouse=True)
def nothing_is_left(ground: Ground) -> Iterator[None]:
    """Every party of a test ends, whatever the test finds out."""
    yield
    for process in ground.world.processes:
        if process.child.poll() is None:
            process.child.kill()
            process.child.wait(10)
    ground.world.processes.clear()


def test_party_that_never_comes(ground: Ground) -> None:
    missing = ground.computes[2]
    ground.world.configure(ground.computes[0], peers=15)
    run = ground.ask(epochs=LONG)
    for asset in ground.assets:
        table = _table(ground, asset)
        ground.world.configure(asset, table=table, peers=20)

    run.start(missing)

    check_ended(run, "PARTY_MISSING", rounds=0)
    for party in run.parties:
        assert missing.dt[:10] in party.status["sentence"]
        assert not party.has("go")
        ground.world.configure(party.asset, table=_table(ground, party.asset))


def test_revoked_mid_run(ground: Ground) -> None:
    """A grant that is withdrawn between two epochs. Acceptance: 104, 105"""
    run = ground.run(epochs=LONG)
    in_the_middle(run)

    ground.world.revoke(ground.data[0], run.algorithm)

    # The owner's own gate says that; another one that is asked earlier sees an owner too few.
    check_ended(run, "GRANT_REVOKED", "TOO_FEW_PARTICIPANTS")
    assert "refused" in {party.status["state"] for party in run.parties}


def test_party_killed_at_an_epoch(ground: Ground) -> None:
    """The supervisor is killed: what it started goes with it, and all others end."""
    run = ground.run(epochs=LONG)
    in_the_middle(run)
    victim = run.party(ground.computes[1])

    victim.kill()

    check_ended(run, "PARTY_MISSING", killed=victim)


def test_engine_killed_at_an_epoch(ground: Ground) -> None:
    run = ground.run(epochs=LONG)
    in_the_middle(run)
    victim = run.party(ground.computes[1])

    for pid in _engine_processes(victim):
        os.kill(pid, signal.SIGKILL)

    check_ended(run, "ENGINE_FAILED")


def test_operator_stops_one_party(ground: Ground) -> None:
    run = ground.run(epochs=LONG)
    in_the_middle(run)

    run.party(ground.data[1]).stop()

    check_ended(run, "PARTY_STOPPED")


def test_replayed_request_starts_nothing_a_second_time(ground: Ground) -> None:
    """Replayed request. Acceptance: 112"""
    run = ground.run(epochs=1)
    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    before = {one.asset.dt: one.status for one in run.parties}
    rounds = ground.world.logged(run.job)

    again = ground.world.start_all(ground.assets, run.job, run.request)

    assert wait_all(again) == [4] * 5, reports(again)
    for party in again:
        assert "REQUEST_REPLAYED" in party.log.read_text()
        assert party.status == before[party.asset.dt]
    assert ground.world.logged(run.job) == rounds


def test_replayed_request_at_a_party_that_lost_its_memory(ground: Ground, tmp_path: Path) -> None:
    """The recorder has its introduction still: nobody can be introduced twice. Acceptance: 112"""
    run = ground.run(epochs=1)
    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    asset = ground.computes[0]
    state = asset.folder / "state"
    state.rename(tmp_path / "forgotten")

    again = ground.world.start(asset, run.job, run.request)

    assert again.wait(60) == 4, again.report()
    assert again.status["reason"] in ("REQUEST_REPLAYED", "REQUEST_EXPIRED")
    assert not again.has("go")


def test_bundle_swapped_after_approval(ground: Ground) -> None:
    """The store gives other bytes than the registered ones. Acceptance: 65, 103"""
    run = ground.ask(epochs=1)
    bundle = _bundle_file(ground, ground.computes[0].operation)
    content = bundle.read_bytes()
    bundle.chmod(0o644)
    bundle.write_bytes(content.replace(b"def stage", b"def staqe"))
    try:
        run.start()
        check_ended(run, "STORE_UNREACHABLE", rounds=0)
    finally:
        bundle.write_bytes(content)
    assert not any(party.has("introduced") for party in run.parties)


def test_party_with_another_learning_rate(ground: Ground) -> None:
    """A party that has switched its own gate off is found out before a share leaves."""
    run = ground.ask(epochs=LONG)
    liar = ground.computes[1]
    run.start(liar)
    run.parties.append(ground.world.start(liar, run.job, run.request, trick="other_learning_rate"))

    check_ended(run, "AGREEMENT_MISMATCH", rounds=0)
    assert not any(party.has("shares_sent") or party.has("go") for party in run.parties)


@pytest.mark.parametrize(
    ("trick", "reasons"),
    [
        ("wrong_certificate", {"PARTY_MISSING"}),
        ("wrong_link_certificate", {"ENGINE_FAILED", "DEADLINE_PASSED"}),
    ],
)
def test_wrong_certificate(ground: Ground, trick: str, reasons: set[str]) -> None:
    """Whoever shows another certificate than the introduced one is nobody."""
    run = ground.ask(epochs=LONG)
    for asset in ground.assets:
        ground.world.configure(asset, table=_table(ground, asset), peers=25, start=25)
    impostor = ground.computes[1]
    run.start(impostor)
    run.parties.append(ground.world.start(impostor, run.job, run.request, trick=trick))

    check_ended(run, *reasons, rounds=0)
    assert all(not party.has("stored") for party in run.parties)
    for asset in ground.assets:
        ground.world.configure(asset, table=_table(ground, asset))


def test_stray_connections_disturb_nobody(ground: Ground) -> None:
    """Stray connection to a party."""
    run = ground.run(epochs=4)
    for party in run.parties:
        party.wait_for("introduced")
    strays = []
    randoms = random.Random(3)
    while any(party.child.poll() is None for party in run.parties):
        for port in _listening(run.parties):
            try:
                stray = socket.create_connection(("127.0.0.1", port), timeout=1)
                stray.sendall(randoms.choice([b"GET / HTTP/1.1\r\n\r\n", randoms.randbytes(300)]))
                strays.append(stray)
            except OSError:
                continue
        time.sleep(0.5)

    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    assert len(strays) > 10
    for stray in strays:
        stray.close()


def test_recorder_away(ground: Ground) -> None:
    """Nobody goes on without a log: the earlier rounds must be in it."""
    run = ground.ask(epochs=LONG)
    for asset in ground.assets:
        ground.world.configure(asset, table=_table(ground, asset), stage=20)
    run.start()
    in_the_middle(run)

    ground.world.recorder.kill()
    wait_all(run.parties)

    assert {party.status["reason"] for party in run.parties} == {"RECORDER_BEHIND"}, reports(
        run.parties
    )
    assert ground.world.left_behind() == []
    ground.world.restart_recorder()
    for asset in ground.assets:
        ground.world.configure(asset, table=_table(ground, asset))
    after = ground.run(epochs=1)  # what was not posted waits on disk, and is posted now
    assert wait_all(after.parties) == [0] * 5, reports(after.parties)
    wait_until(lambda: ground.world.logged(run.job) == run.stored())


def test_chain_away(new_chain: "type[Chain]", tmp_path: Path) -> None:
    """Acceptance: 111"""
    chain: Chain = new_chain()
    ground = make_ground(chain, tmp_path / "parties", lease=6)
    try:
        run = ground.run(epochs=LONG)
        in_the_middle(run)

        chain.anvil.kill()
        wait_all(run.parties)

        said = {party.status["reason"] for party in run.parties}
        assert said == {"CHAIN_UNREACHABLE"}, reports(run.parties)
        assert "refused" in {party.status["state"] for party in run.parties}
        assert ground.world.left_behind() == []
    finally:
        ground.world.close()


def _table(ground: Ground, asset: object) -> dict[str, str] | None:
    if asset not in ground.data:
        return None
    name = "bank-a.csv" if asset is ground.data[0] else "bank-b.csv"
    return {"source": str(ground.world.folder / name), "key": "ID"}


def _bundle_file(ground: Ground, operation: str) -> Path:
    document = ground.world.world.a.site.documents.operation(operation).document
    key = flatfs_key(document.bundle)
    return ground.world.world.store_folder / "blocks" / key[-3:-1] / f"{key}.data"


def _engine_processes(party: PartyProcess) -> list[int]:
    """Return the operation's processes: those below the party that run the engine's Python."""
    found = [
        pid
        for pid in below(party.child.pid)
        if b"engines/child" in (Path("/proc") / str(pid) / "cmdline").read_bytes()
    ]
    assert found, party.report()
    return found


def _listening(parties: list[PartyProcess]) -> list[int]:
    """Return the ports on which parties and what they started listen."""
    ports = []
    for party in parties:
        ports += [int(event["port"]) for event in party.events if event["event"] == "introduced"]
        ports += [
            int(event["link"])
            for event in party.events
            if event["event"] == "introduced" and event.get("link")
        ]
    return ports
