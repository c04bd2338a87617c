"""What a run of three real Rosetta parties must survive: all of them end and say why.

Rosetta waits for ever for a peer that is gone, so each of these would hang without its party.
"""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.rtt_tracer.party.conftest import Ground, Run, write_tables
from tests.rtt_tracer.processes import engine_processes
from tests.rtt_tracer.world import PartyWorld
from tests.support.chain import Chain

pytestmark = [pytest.mark.rosetta, pytest.mark.timeout(600)]
LONG = 150
"""Epochs that outlast every test: a run that goes on is never mistaken for one that ended."""


@pytest.fixture(scope="module")
def ground(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ground]:
    """Two banks with rows, and a third party that helps."""
    folder = tmp_path_factory.mktemp("rosetta-failures")
    world = PartyWorld(chain, folder)
    operation = world.shipped("logistic_regression_rosetta")
    table_a, table_b = write_tables(folder)
    assets = [
        world.data(world.a, operation, str(table_a), name="a-data"),
        world.data(world.b, operation, str(table_b), name="b-data"),
        world.compute(world.d, operation, name="d-compute"),
    ]
    yield Ground(world, assets)
    world.close()


def begun(ground: Ground) -> Run:
    run = ground.run(epochs=LONG, protocol="SecureNN")
    run.in_the_middle()
    return run


def test_party_that_never_comes(ground: Ground) -> None:
    ground.configure(peers=12)
    run = ground.ask(epochs=LONG, protocol="SecureNN")

    run.start(ground.assets[1])

    run.check_ended("PARTY_MISSING")
    assert not any(party.has("go") for party in run.parties)


def test_party_killed_at_an_epoch(ground: Ground) -> None:
    run = begun(ground)
    victim = run.party(ground.assets[1])

    victim.kill()

    run.check_ended("PARTY_MISSING", killed=victim)
    assert all(victim.asset.dt[:10] in one.status["sentence"] for one in run.others(victim.asset))


def test_rosetta_killed_at_an_epoch(ground: Ground) -> None:
    run = begun(ground)

    for pid in engine_processes(run.party(ground.assets[2])):
        os.kill(pid, signal.SIGKILL)

    run.check_ended("ENGINE_FAILED")


@pytest.mark.parametrize("which", [0, 2])
def test_revoked_between_two_epochs(ground: Ground, which: int) -> None:
    """A data owner's word stops the run, and the helper's too. Acceptance: 97, 104, 105"""
    run = begun(ground)
    owner = ground.assets[which]

    ground.world.revoke(owner, run.algorithm)
    reached = max(party.status["stage"] for party in run.parties)

    run.check_ended("GRANT_REVOKED")
    assert run.party(owner).status["state"] == "refused"
    assert max(party.status["stage"] for party in run.parties) <= reached + 1
