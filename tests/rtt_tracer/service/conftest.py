"""Four asset services for all tests of a module."""

from collections.abc import Iterator

import pytest

from tests.rtt_tracer.service.hosts import Banks
from tests.support.chain import Chain


@pytest.fixture(scope="module")
def banks(chain: Chain, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Banks]:
    """Two banks, each with a private and a federated service."""
    made = Banks.make(chain, tmp_path_factory.mktemp("banks"))
    yield made
    made.close()
