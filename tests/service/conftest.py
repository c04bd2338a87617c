"""A governed job, recorders as processes."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.chain import Chain
from tests.support.recorder import Governed, Running


@pytest.fixture(scope="session")
def governed(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Governed:
    """A job of three users; the terms close a round after an hour."""
    return Governed(chain, tmp_path_factory.mktemp("store"), chain.account(), timeout=3600)


@pytest.fixture(scope="module")
def recorder(governed: Governed, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """The recorder of that job."""
    running = Running(governed, tmp_path_factory.mktemp("recorder"))
    yield running
    running.stop()


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Start recorders of one's own."""
    started: list[Running] = []

    def run(governed: Governed, **options: object) -> Running:
        made = Running(governed, tmp_path / "recorder", **options)  # type: ignore[arg-type]
        started.append(made)
        return made

    yield run
    for made in started:
        made.stop()


@pytest.fixture
def new_job(governed: Governed) -> Callable[[], Governed]:
    """Make jobs of one's own, over the same DTs and with the same recorder's account."""
    return governed.again
