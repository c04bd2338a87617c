"""Chain and recorder away in mid-run: short outages are waited for, long ones end the run."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.rtt_tracer.party.conftest import Ground
from tests.rtt_tracer.party.test_failures import LONG
from tests.rtt_tracer.processes import reports, wait_all
from tests.support.chain import Chain, wait_until

pytestmark = pytest.mark.spu


@contextmanager
def suspended(chain: Chain) -> Iterator[None]:
    """Stop the chain's node: it takes connections and answers nobody."""
    os.kill(chain.anvil.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(chain.anvil.pid, signal.SIGCONT)


def test_chain_away_for_longer_than_a_permission_lives(ground: Ground) -> None:
    """Acceptance: 111"""
    ground.configure(lease=6)
    run = ground.run(epochs=LONG)
    run.in_the_middle()

    with suspended(ground.world.chain):
        wait_all(run.parties)

    run.check_ended("CHAIN_UNREACHABLE")
    assert "refused" in {party.status["state"] for party in run.parties}


def test_chain_away_for_a_moment(ground: Ground) -> None:
    """The run waits, and finishes: all rounds are logged. Acceptance: 111"""
    run = ground.run(epochs=8)
    run.in_the_middle()

    with suspended(ground.world.chain):
        time.sleep(5)  # less than `lease`
        assert all(party.child.poll() is None for party in run.parties), reports(run.parties)

    assert wait_all(run.parties) == [0] * 5, reports(run.parties)
    assert run.stored() == 9
    run.check_log()


def test_recorder_away(ground: Ground) -> None:
    """Nobody goes on without a log; what was signed waits on disk for the next party."""
    ground.configure(stage=14, lease=10)
    run = ground.run(epochs=LONG)
    run.in_the_middle()

    ground.world.recorder.kill()
    wait_all(run.parties)

    said = {party.status["reason"] for party in run.parties}
    assert len(said) == 1, reports(run.parties)
    assert said <= {"RECORDER_BEHIND", "RECORDER_UNREACHABLE"}
    assert ground.world.left_behind() == []
    ground.world.restart_recorder()
    replay = ground.world.start_all(ground.assets, run.job, run.request)
    assert wait_all(replay) == [4] * 5, reports(replay)
    wait_until(lambda: ground.world.logged(run.job) == run.stored())
    run.check_log()
