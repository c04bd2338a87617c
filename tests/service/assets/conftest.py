"""A bank with a service of its own, and services as processes."""

import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datatoken.service.assets.models import JobRun, RunState
from tests.support.asset_service import Bank, Serving
from tests.support.chain import Chain
from tests.support.world import World


@pytest.fixture(scope="module")
def bank_world(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Parties for all tests of a module."""
    made = World(chain, tmp_path_factory.mktemp("world"))
    yield made
    made.close()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Serving]]:
    """Start services: `start(bank, mode="queue")`."""
    started: list[Serving] = []

    def run(bank: Bank, **options: object) -> Serving:
        made = Serving(bank, **options)
        started.append(made)
        return made

    yield run
    for made in started:
        made.stop()
        for path in (made.bank.state / "runs").glob("*/*/pid"):
            with_group(int(path.read_text()))


def with_group(pid: int) -> None:
    """End a party that a test has left."""
    try:
        if os.getpgid(pid) == pid:
            os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


@pytest.fixture
def bank(bank_world: World, tmp_path: Path) -> Bank:
    """A bank of the test's own."""
    return Bank(bank_world, tmp_path / "bank")


@pytest.fixture(scope="module")
def shared(bank_world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """One service for all tests of a module that leave no run behind."""
    made = Serving(Bank(bank_world, tmp_path_factory.mktemp("shared") / "bank"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def ended(shared: Serving) -> tuple[Serving, JobRun]:
    """A finished run of that service; beside its folder lies a file that is nobody's."""
    bank, job = shared.bank, shared.bank.post()
    (bank.folder / "secret.csv").write_text("SECRET")
    run = shared.requester().start(job, bank.request(job, mode="quick"))
    shared.wait_state(run.id, RunState.FINISHED)
    return shared, run
