"""What RPC nodes do wrong, as hooks of a proxy before anvil."""

import threading
from collections.abc import Callable
from typing import Any

from datatoken.chain.quorum import QuorumRpc
from datatoken.types import JobStatus
from tests.support.chain import Chain
from tests.support.proxy import Answer, Request

TIMEOUT = 4.0
Connect = Callable[..., QuorumRpc]


def of_call(change: Callable[[bytearray], None]) -> Callable[[Request, Answer], Answer]:
    """Return a hook that changes the words of every view call's answer."""

    def lie(request: Request, answer: Answer) -> Answer:
        if request["method"] != "eth_call" or "result" not in answer:
            return answer
        content = bytearray.fromhex(answer["result"][2:])
        change(content)
        return {**answer, "result": "0x" + content.hex()}

    return lie


def of_block(**fields: str) -> Callable[[Request, Answer], Answer]:
    """Return a hook that changes fields of every block header."""

    def lie(request: Request, answer: Answer) -> Answer:
        if request["method"] != "eth_getBlockByNumber" or not answer.get("result"):
            return answer
        return {**answer, "result": {**answer["result"], **fields}}

    return lie


def frozen(chain: Chain) -> Callable[[Request], Answer | None]:
    """Return a hook of a node that has stopped following the chain where it is now."""
    head = chain.rpc.block_number()

    def stay(request: Request) -> Answer | None:
        if request["method"] == "eth_blockNumber":
            return {"result": hex(head)}
        if request["method"] != "eth_getBlockByNumber":
            return None
        tag = request["params"][0]
        number = head if tag == "latest" else int(tag, 16)
        if number > head:
            return {"result": None}
        return {"result": chain.rpc.request("eth_getBlockByNumber", [hex(number), False])}

    return stay


class OneBehind:
    """A hook of an honest node that takes each block in when the next one is there.

    Parameters
    ----------
    head : int, optional
        Block at which it has stopped.

    Attributes
    ----------
    there : bool
        Set it: the node has caught up.
    """

    def __init__(self, chain: Chain, head: int | None = None) -> None:
        self._rpc, self._head, self.there = chain.rpc, head, False

    def __call__(self, request: Request) -> Answer | None:
        if self.there:
            return None
        head = self._rpc.block_number() - 1 if self._head is None else self._head
        method, params = request["method"], request["params"]
        if method == "eth_blockNumber":
            return {"result": hex(head)}
        if method == "eth_getBlockByNumber":
            number = head if params[0] == "latest" else int(params[0], 16)
            asked = ("eth_getBlockByNumber", [hex(number), False])
            return {"result": self._rpc.request(*asked) if number <= head else None}
        if method == "eth_call" and self._of(params[1]) > head:
            return {"error": {"code": -32000, "message": "header not found"}}
        if method == "eth_getLogs":  # as old nodes do: no error for what they have not got
            logs = self._rpc.request(method, params)
            return {"result": [log for log in logs if int(log["blockNumber"], 16) <= head]}
        return None

    def _of(self, block: Any) -> int:
        if isinstance(block, str):
            return int(block, 16)
        found = self._rpc.request("eth_getBlockByHash", [block["blockHash"], False])
        return int(found["number"], 16)


def hang(request: Request) -> Answer | None:
    """A node that accepts and says nothing."""
    threading.Event().wait(20)
    return {"error": {"code": -32000, "message": "too late"}}


def wait_for_blocks(chain: Chain, count: int) -> None:
    """Let the chain grow."""
    chain.rpc.request("anvil_mine", [hex(count)])


def close_job(content: bytearray) -> None:
    """Forge the status of a job's check: closed."""
    content[63] = JobStatus.CLOSED
