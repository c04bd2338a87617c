"""One federation with its owner's asset service, for all tests of a module."""

from collections.abc import Iterator

import pytest

from datatoken.ddo import Terms
from tests.fl_edge.service.hosts import OwnersService
from tests.fl_edge.superlink.world import World
from tests.support.chain import Chain


@pytest.fixture(scope="module")
def owner(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OwnersService]:
    """A, two users with SuperNodes, and A's service."""
    terms = Terms(parameters={"step": {"maximum": 5.0}})
    world = World(chain, tmp_path_factory.mktemp("composite"), users=2, terms=terms)
    made: OwnersService | None = None
    try:
        world.start()
        made = OwnersService(world)
        made.start()
        yield made
    finally:
        if made is not None:
            made.close()
        world.close()
