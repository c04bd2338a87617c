"""Fixtures of all tests: real anvil chains and real stores."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from datatoken.chain.anvil import Anvil
from datatoken.store import VerifyingStore, open_store
from tests.support.chain import Chain, start_chain
from tests.support.world import World

ROSETTA = Path(__file__).parents[1] / ".engines" / "rosetta" / "bin" / "python"


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have tests with real Rosetta fail by name where its environment is missing."""
    if item.get_closest_marker("rosetta") and not ROSETTA.exists():
        pytest.fail("The Rosetta engine's environment is missing: make rosetta.", pytrace=False)


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """One chain for the session: contracts, institutions A and B, users of A.

    Nothing is reset between tests: make DTs, tasks and jobs of your own, and take a
    `new_chain` to stop the chain, to move its clock or to remove an institution.
    """
    started = start_chain(tmp_path_factory.mktemp("chain"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def anvil(chain: Chain) -> Anvil:
    """The anvil of the session's chain."""
    return chain.anvil


@pytest.fixture
def new_chain(tmp_path: Path) -> Iterator[Callable[..., Chain]]:
    """Start chains of one's own: `new_chain()`, `new_chain(state=path)`."""
    started: list[Chain] = []

    def start(**options: object) -> Chain:
        made = start_chain(tmp_path / f"chain-{len(started)}", **options)  # type: ignore[arg-type]
        started.append(made)
        return made

    yield start
    for made in started:
        made.close()


@pytest.fixture
def store(tmp_path: Path) -> VerifyingStore:
    """An empty folder store behind the verifying wrapper."""
    return open_store(tmp_path / "store")


@pytest.fixture
def world(chain: Chain, tmp_path: Path) -> Iterator[World]:
    """Parties with a store and folders of their own on the session's chain."""
    made = World(chain, tmp_path)
    yield made
    made.close()
