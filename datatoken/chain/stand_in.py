"""A stand-in for a PlatON node: anvil with PlatON's rules, behind a real HTTP proxy.

anvil runs the old opcodes and counts time in milliseconds; the proxy gives what PlatON's
compatible RPC gives: headers with validators' data, time in seconds, no `safe` or
`finalized` block, no base fee, view calls within 50 M gas. For tests, demos and CI.
"""

import json
import threading
import time
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from datatoken.chain.anvil import Anvil
from datatoken.chain.profiles import ANVIL_CHAIN_ID, NetworkProfile
from datatoken.chain.rpc import Rpc
from datatoken.errors import LocalEnvironmentError

EXTRA_BYTES = 97
VIEW_GAS_CAP = 50_000_000
_TOO_NEW = frozenset({"eth_maxPriorityFeePerGas", "eth_feeHistory", "eth_blobBaseFee"})
_BLOCKS = frozenset({"eth_getBlockByNumber", "eth_getBlockByHash"})
_WITH_LOGS = frozenset({"eth_getLogs", "eth_getTransactionReceipt"})
_NEW_FIELDS = ("baseFeePerGas", "withdrawals", "withdrawalsRoot", "blobGasUsed", "excessBlobGas")
_NO_SUCH_BLOCK = "invalid argument: hex string without 0x prefix"
_NO_SUCH_METHOD = "the method does not exist/is not available"

Message = dict[str, Any]


class StandIn(Anvil):
    """A running stand-in; `url` is the proxy's, `node_url` anvil's own."""

    def __init__(self, node: Anvil, port: int = 0) -> None:
        super().__init__(node.process, node.url, node.log, keep_log=node.keep_log)
        self.node_url = node.url
        self._http = httpx.Client(timeout=60.0, trust_env=False)
        try:
            self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self._answer))
        except OSError as error:
            raise LocalEnvironmentError(
                f"The stand-in did not start: {error.strerror}.",
                f"Is port {port} in use? Choose another one, or 0 for any free one.",
            ) from error
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def _answer(self, content: bytes) -> bytes:
        asked = json.loads(content)
        if isinstance(asked, list):
            return json.dumps([self._one(request) for request in asked]).encode()
        return json.dumps(self._one(asked)).encode()

    def _one(self, request: Message) -> Message:
        refused = refusal(request)
        if refused is not None:
            return {"jsonrpc": "2.0", "id": request.get("id"), "error": refused}
        reply = self._http.post(self.node_url, json=request)
        return as_platon(request, reply.json())

    def _clean(self) -> None:
        # Connections are refused from here on, as those of a dead node are.
        self._server.shutdown()
        self._server.server_close()
        self._http.close()
        super()._clean()


def start_network(profile: NetworkProfile, port: int = 0, state: Path | None = None) -> Anvil:
    """Start a local chain with a profile's rules: anvil, or the stand-in for PlatON.

    Parameters
    ----------
    profile : NetworkProfile
        One that is a stand-in.
    port, state
        As in `Anvil.start`.

    Raises
    ------
    LocalEnvironmentError
        When the profile is of a real network, or the chain does not start.
    """
    if not profile.stand_in:
        raise LocalEnvironmentError(
            f"{profile.name} is a real network; nothing local plays it.",
            "Take anvil or platon-stand-in, or deploy to a node: datatoken deploy --rpc URL.",
        )
    if profile.chain_id == ANVIL_CHAIN_ID:
        return Anvil.start(port=port, state=state)
    now = time.time_ns() // 10**6
    node = Anvil.start(
        state=state,
        chain_id=profile.chain_id,
        mixed_mining=False,
        extra=["--hardfork", "istanbul", "--timestamp", str(now)],
    )
    try:
        with Rpc(node.url) as rpc:
            rpc.request("anvil_setBlockTimestampInterval", [1000])
            if state is not None and int(rpc.request("eth_blockNumber"), 16):
                # A chain that was stopped goes on at the clock's time, not at its own.
                rpc.request("evm_setNextBlockTimestamp", [time.time_ns() // 10**6])
        return StandIn(node, port)
    except BaseException:
        node.stop()
        raise


def refusal(request: Mapping[str, Any]) -> Message | None:
    """Return the error of what a PlatON node does not answer, else None."""
    method, params = request.get("method", ""), request.get("params") or []
    if method in _TOO_NEW:
        return {"code": -32601, "message": f"the method {method}: {_NO_SUCH_METHOD}"}
    if any(param in ("safe", "finalized") for param in params if isinstance(param, str)):
        return {"code": -32602, "message": _NO_SUCH_BLOCK}
    if method == "eth_call" and params and int(params[0].get("gas", "0x0"), 16) > VIEW_GAS_CAP:
        return {"code": -32000, "message": f"gas exceeds the cap of {VIEW_GAS_CAP}"}
    return None


def as_platon(request: Mapping[str, Any], reply: Message) -> Message:
    """Give anvil's answer the shape that PlatON's has."""
    method, result = request.get("method", ""), reply.get("result")
    if method in _BLOCKS and isinstance(result, dict):
        block = {name: value for name, value in result.items() if name not in _NEW_FIELDS}
        seal = (bytes.fromhex(block["hash"][2:]) * 4)[:EXTRA_BYTES]
        block["extraData"] = "0x" + seal.hex()
        block["timestamp"] = hex(int(block["timestamp"], 16) // 1000)
        return {**reply, "result": block}
    if method in _WITH_LOGS:
        return {**reply, "result": _old_logs(result)}
    return reply


def _old_logs(value: Any) -> Any:
    """Leave out the time of logs, which older nodes do not give."""
    if isinstance(value, list):
        return [_old_logs(item) for item in value]
    if isinstance(value, dict):
        return {k: _old_logs(v) for k, v in value.items() if k != "blockTimestamp"}
    return value


def _handler(answer: Callable[[bytes], bytes]) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def do_POST(self) -> None:
            size = int(self.headers.get("content-length", 0))
            try:
                content = answer(self.rfile.read(size))
            except (httpx.HTTPError, RuntimeError, ValueError, KeyError, TypeError):
                # The node is gone, or was asked what is no JSON-RPC.
                self.close_connection = True
                return
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: object) -> None:
            """Be quiet."""

    return Handler
