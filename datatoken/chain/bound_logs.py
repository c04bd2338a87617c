"""Logs by quorum, from nodes that have the block up to which they are asked.

A node that is a block behind answers "no logs" for a block that it has not got. With a liar's
"no logs" that would be a quorum, and the event would be lost for good.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from datatoken.chain.endpoints import Endpoint, header
from datatoken.chain.essence import essence
from datatoken.chain.heads import Heads
from datatoken.chain.panel import Panel
from datatoken.chain.rpc import Rpc

METHOD = "eth_getLogs"


def agreed_logs(panel: Panel, heads: Heads, params: Sequence[Any], deadline: float) -> Any:
    """Return the logs that a quorum has, with the same block at their end.

    Raises
    ------
    ReplyLimitError
        When nodes refuse so many blocks at once: fewer of them may be answered.
    NodesDisagreeError
        When the endpoints show different logs until the deadline.
    ChainUnreachableError
        When too few have the last block.
    """
    query: Mapping[str, Any] = params[0]
    last = query.get("toBlock", "latest")

    def work(_: Endpoint, rpc: Rpc) -> tuple[str, str]:
        # First: a node that has the block has its logs, too.
        block = header(rpc, last)
        return block.hash, essence(METHOD, rpc.request(METHOD, params))

    several = query.get("fromBlock", "latest") != last
    _, text = heads.persist(
        lambda: panel.agree(METHOD, work, deadline, divisible=several), deadline
    )
    return json.loads(text)
