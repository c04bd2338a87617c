"""What a run of five real parties must survive: each time all of them end and say why.

Every test asserts one reason at every party, that no process is left, and that the chain holds
the rounds that all parties signed, and no other. Whether parties keep to their agreement is in
`test_attacks.py`, chain and recorder that are away in `test_outages.py`.
"""

import json
import os
import signal

import pytest

from tests.rtt_tracer.party.conftest import Ground
from tests.rtt_tracer.processes import engine_processes, wait_all

pytestmark = pytest.mark.spu
LONG = 150
"""Epochs that outlast every test: a run that goes on is never mistaken for one that ended."""


def test_party_that_never_comes(ground: Ground) -> None:
    missing = ground.computes[2]
    ground.configure(peers=12)
    run = ground.ask(epochs=LONG)

    run.start(missing)

    run.check_ended("PARTY_MISSING")
    for party in run.parties:
        assert missing.dt[:10] in party.status["sentence"]
        assert not party.has("go")


def test_party_killed_at_an_epoch(ground: Ground) -> None:
    """What it started goes with it; the next party of the asset tidies up after it."""
    run = ground.run(epochs=LONG)
    run.in_the_middle()
    victim = run.party(ground.data[0])
    assert (victim.folder / "work" / "in" / "table.npz").exists()

    victim.kill()

    run.check_ended("PARTY_MISSING", killed=victim)
    assert all(victim.asset.dt[:10] in one.status["sentence"] for one in run.others(victim.asset))
    assert victim.status["state"] == "running"
    again = ground.world.start(victim.asset, run.job, run.request)
    assert again.wait() == 4, again.report()
    assert "REQUEST_REPLAYED" in again.log.read_text()
    assert (victim.status["state"], victim.status["reason"]) == ("failed", "PARTY_STOPPED")
    assert json.loads((victim.folder / "events.jsonl").read_text().splitlines()[-1])["sentence"]
    left = {path.name for path in victim.folder.iterdir()}
    assert left == {"status.json", "events.jsonl", "engine.log", "party.lock", "results"}
    run.check_log()  # what it had signed and not posted is posted now


def test_engine_killed_at_an_epoch(ground: Ground) -> None:
    run = ground.run(epochs=LONG)
    run.in_the_middle()
    victim = run.party(ground.computes[1])

    for pid in engine_processes(victim):
        os.kill(pid, signal.SIGKILL)

    run.check_ended("ENGINE_FAILED")


def test_operator_stops_one_party(ground: Ground) -> None:
    run = ground.run(epochs=LONG)
    run.in_the_middle()
    stopped = run.party(ground.data[1])

    stopped.stop()

    run.check_ended("PARTY_STOPPED")
    assert "operator" in stopped.status["sentence"]
    for party in run.others(stopped.asset):
        assert party.status["state"] == "stopped"
        assert stopped.asset.dt[:10] in party.status["sentence"]


def test_operator_stops_a_party_that_waits_for_the_others(ground: Ground) -> None:
    run = ground.ask(epochs=LONG)
    run.start(*ground.assets[1:])
    run.parties[0].wait_for("introduced")

    run.parties[0].stop()

    assert wait_all(run.parties) == [10]
    assert run.parties[0].status["state"] == "stopped"
    run.check_ended("PARTY_STOPPED")


@pytest.mark.parametrize("which", [0, 3])
def test_revoked_mid_run(ground: Ground, which: int) -> None:
    """Threat: revoked mid-run, between two epochs. Acceptance: 104, 105"""
    owner = ground.assets[which]
    run = ground.run(epochs=LONG)
    run.in_the_middle()

    ground.world.revoke(owner, run.algorithm)
    reached = max(party.status["stage"] for party in run.parties)

    run.check_ended("GRANT_REVOKED")
    assert run.party(owner).status["state"] == "refused"
    assert all(owner.dt[:10] in one.status["sentence"] for one in run.others(owner))
    # The permission of the next epoch was sought while this one ran: it may be taken, no other.
    assert max(party.status["stage"] for party in run.parties) <= reached + 1
