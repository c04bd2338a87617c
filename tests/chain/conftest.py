"""Three nodes before one anvil, and a connection that wants two of them to agree."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from datatoken.chain.panel import QuorumRules
from datatoken.chain.quorum import QuorumRpc
from datatoken.chain.seen import FILE, SeenBlocks
from tests.support.chain import Chain
from tests.support.proxy import Proxy, proxy_to
from tests.support.quorum import TIMEOUT, Connect


@pytest.fixture
def nodes(chain: Chain) -> Iterator[list[Proxy]]:
    with proxy_to(chain.url) as one, proxy_to(chain.url) as two, proxy_to(chain.url) as three:
        yield [one, two, three]


@pytest.fixture
def connect(chain: Chain, nodes: list[Proxy]) -> Iterator[Connect]:
    """Connect to the nodes as a gate would: two of three have to agree."""
    opened: list[QuorumRpc] = []

    def make(state: Path | None = None, quorum: int = 2, **options: Any) -> QuorumRpc:
        urls = options.pop("urls", [node.url for node in nodes])
        rules = QuorumRules(quorum, chain.deployment.chain_id, options.pop("max_age", 30.0))
        seen = SeenBlocks("test", state / FILE if state else None)
        rpc = QuorumRpc(urls, rules, seen, options.pop("timeout", TIMEOUT), **options)
        opened.append(rpc)
        return rpc

    yield make
    for rpc in opened:
        rpc.close()
