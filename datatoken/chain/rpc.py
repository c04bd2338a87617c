"""JSON-RPC over a kept-alive connection. Nothing heavier than httpx: gates sit on this path."""

import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from datatoken import strict_json
from datatoken.errors import ChainUnreachableError, WrongChainError

DEFAULT_TIMEOUT = 5.0
MAX_REPLY = 64 * 1024 * 1024
_REVERT_CODE = 3


class RpcError(ChainUnreachableError):
    """An endpoint answered with an error instead of a result.

    Parameters
    ----------
    method : str
        JSON-RPC method that was called.
    number : int
        Error code of the reply.
    text : str
        Error message of the reply.
    data : str, optional
        Revert data, hex with 0x, where the error is a revert.
    """

    def __init__(self, method: str, number: int, text: str, data: str | None) -> None:
        super().__init__(
            f"The chain's endpoint answered {method} with an error: {text} ({number}).",
            "Check the endpoint, and that the deployment file belongs to this chain.",
        )
        self.number = number
        self.text = text
        self.data = data

    @property
    def reverted(self) -> bool:
        """Tell whether a contract reverted the call."""
        return self.number == _REVERT_CODE or "revert" in self.text.lower()


class ReplyLimitError(ChainUnreachableError):
    """A reply was too large or too slow: a smaller question may be answered."""


_FAILURES = (
    httpx.HTTPError,
    httpx.InvalidURL,
    ReplyLimitError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OverflowError,
)


class Rpc:
    """A JSON-RPC client for one chain, with one or more endpoints tried in order.

    Thread-safe. `calls` counts the requests that went out; `answered_by` is the endpoint that
    gave this thread its last answer.

    Parameters
    ----------
    urls : str or Sequence[str]
        Endpoints; the next one is tried only when one is out of reach.
    timeout : float
        Seconds for one request, from connecting to the last byte.
    """

    def __init__(self, urls: str | Sequence[str], timeout: float = DEFAULT_TIMEOUT) -> None:
        self.urls: tuple[str, ...] = (urls,) if isinstance(urls, str) else tuple(urls)
        if not self.urls:
            raise ChainUnreachableError("No endpoint of the chain is configured.")
        self.timeout = timeout
        self._calls = 0
        self._ids = itertools.count(1)
        self._lock = threading.Lock()
        self._answered = threading.local()
        # Settings of the environment (proxies, .netrc) must not redirect a trusted endpoint; whom
        # it trusts to sign certificates (SSL_CERT_FILE) is its owner's to say.
        self._http = httpx.Client(
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            transport=httpx.HTTPTransport(),
        )

    def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Send one request and return its result.

        Raises
        ------
        ChainUnreachableError
            When no endpoint answers in time, with JSON-RPC.
        RpcError
            When an endpoint answers with an error.
        """
        number = next(self._ids)
        body = json.dumps(
            {"jsonrpc": "2.0", "id": number, "method": method, "params": list(params)}
        ).encode()
        last: Exception | None = None
        for url in self.urls:
            try:
                result = self._result(method, number, self._post(url, body))
            except _FAILURES as error:
                last = error
            else:
                self._answered.url = url
                return result
        slow = isinstance(last, (ReplyLimitError, httpx.ReadTimeout))
        raise (ReplyLimitError if slow else ChainUnreachableError)(
            f"No endpoint of the chain answered {method} ({', '.join(self.urls)}): "
            f"{str(last) or type(last).__name__}.",
            "Start the node, or correct the RPC address.",
        ) from last

    @property
    def calls(self) -> int:
        """Return how many requests went out."""
        return self._calls

    @property
    def answered_by(self) -> str | None:
        """Return the endpoint that gave this thread its last answer."""
        return getattr(self._answered, "url", None)

    def _post(self, url: str, body: bytes) -> Any:
        """Post `body`, once more when a kept-alive connection had just been closed."""
        try:
            return self._post_once(url, body)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # Safe for every method we use: raw transactions are the same bytes.
            return self._post_once(url, body)

    def _post_once(self, url: str, body: bytes) -> Any:
        """Post `body`; bound the reply in bytes and in time, however slowly it drips."""
        with self._lock:
            self._calls += 1
        deadline = time.monotonic() + self.timeout
        headers = {"content-type": "application/json"}
        with self._http.stream("POST", url, content=body, headers=headers) as reply:
            parts: list[bytes] = []
            size = 0
            for part in reply.iter_bytes():
                size += len(part)
                parts.append(part)
                if size > MAX_REPLY:
                    raise ReplyLimitError(f"the reply exceeds {MAX_REPLY} bytes")
                if time.monotonic() > deadline:
                    raise ReplyLimitError(f"the reply took more than {self.timeout} s")
            if reply.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP status {reply.status_code}")
        return strict_json.loads(b"".join(parts))

    @staticmethod
    def _result(method: str, number: int, reply: Any) -> Any:
        if reply["id"] != number:
            raise ValueError("the reply belongs to another request")
        error = reply.get("error")
        if error is None:
            return reply["result"]
        data = error.get("data")
        if isinstance(data, dict):  # some nodes wrap the revert data once more
            data = data.get("data")
        raise RpcError(
            method,
            int(error.get("code", 0)),
            str(error.get("message", "")),
            data if isinstance(data, str) and data.startswith("0x") else None,
        )

    def chain_id(self) -> int:
        """Return the chain id that the endpoint serves."""
        return self._number("eth_chainId")

    def verify_chain(self, chain_id: int) -> None:
        """Refuse an endpoint of another chain.

        Raises
        ------
        WrongChainError
            When the endpoint's chain id is not `chain_id`.
        """
        refuse_other_chain(self.chain_id(), chain_id, self.urls[0])

    def block_number(self) -> int:
        """Return the number of the newest block."""
        return self._number("eth_blockNumber")

    def _number(self, method: str) -> int:
        answer = self.request(method)
        try:
            return int(answer, 16)
        except (TypeError, ValueError) as error:
            raise ChainUnreachableError(
                f"The chain's endpoint answered {method} with something else than a number."
            ) from error

    def eth_call(
        self,
        to: str,
        data: bytes,
        *,
        block: str | Mapping[str, Any] = "latest",
        gas: int | None = None,
        sender: str | None = None,
    ) -> bytes:
        """Call a view function at one block and return its raw answer.

        `block` is a tag, a number in hex, or an object that names a hash (EIP-1898).

        Raises
        ------
        RpcError
            When the contract reverts; `data` is what it reverted with.
        ChainUnreachableError
            When no endpoint answers.
        """
        call: dict[str, str] = {"to": to, "data": "0x" + data.hex()}
        if gas is not None:
            call["gas"] = hex(gas)
        if sender is not None:
            call["from"] = sender
        answer = self.request("eth_call", [call, block])
        try:
            if not answer.startswith("0x"):
                raise ValueError("no hex")
            return bytes.fromhex(answer[2:])
        except (AttributeError, TypeError, ValueError) as error:
            raise ChainUnreachableError(
                "The chain's endpoint answered eth_call with something else than hex."
            ) from error

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()


def refuse_other_chain(found: int, expected: int, where: str) -> None:
    """Raise `WrongChainError` unless the two chain ids are equal."""
    if found != expected:
        raise WrongChainError(
            f"The endpoint {where} serves chain {found}, not chain {expected}.",
            "Correct the RPC address, or choose the profile of that chain.",
        )
