"""JSON-RPC over a kept-alive connection. Nothing heavier than httpx: gates sit on this path."""

import itertools
import json
import threading
import time
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import httpx

from datatoken.bounded_http import PLAIN, BoundedTransport, OversizedError, read_body, within
from datatoken.chain.replies import (
    ReplyLimitError,
    RpcError,
    bytes_of,
    limit_of,
    number_of,
    result_of,
    said,
    shown,
)
from datatoken.errors import ChainUnreachableError, WrongChainError

__all__ = ["DEFAULT_TIMEOUT", "ReplyLimitError", "Rpc", "RpcError", "refuse_other_chain"]

DEFAULT_TIMEOUT = 5.0
_HEADERS = {"content-type": "application/json", **PLAIN}
_FAILURES = (
    httpx.HTTPError,
    httpx.InvalidURL,
    httpx.StreamError,
    ReplyLimitError,
    ValueError,
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
        Seconds that one endpoint gets for one request, from connecting to the last byte.
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
            transport=BoundedTransport(),
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
                result = result_of(method, number, self._post(url, method, body))
            except _FAILURES as error:
                last = error
            else:
                self._answered.url = url
                return result
        slow = isinstance(last, (OversizedError, httpx.ReadTimeout))
        raise (ReplyLimitError if slow else ChainUnreachableError)(
            f"No endpoint of the chain answered {method} ({', '.join(map(shown, self.urls))}): "
            f"{_why(last)}.",
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

    def _post(self, url: str, method: str, body: bytes) -> bytes:
        """Post `body`, once more when a kept-alive connection had just been closed."""
        deadline = time.monotonic() + self.timeout
        try:
            return self._post_once(url, method, body, deadline)
        except (httpx.RemoteProtocolError, httpx.ReadError, httpx.WriteError):
            # Safe for every method we use: raw transactions are the same bytes.
            return self._post_once(url, method, body, deadline)

    def _post_once(self, url: str, method: str, body: bytes, deadline: float) -> bytes:
        """Post `body`; the reply is bounded in bytes and in time, however slowly it drips."""
        with self._lock:
            self._calls += 1
        with self._http.stream(
            "POST", url, content=body, headers=_HEADERS, timeout=within(deadline)
        ) as reply:
            if reply.status_code != httpx.codes.OK:
                raise ValueError(f"HTTP status {reply.status_code}")
            return read_body(reply, limit_of(method))

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
        return number_of(method, self.request(method))

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
        return bytes_of("eth_call", self.request("eth_call", [call, block]))

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
            f"The endpoint {shown(where)} serves chain {found}, not chain {expected}.",
            "Correct the RPC address, or choose the profile of that chain.",
        )


def _why(error: Exception | None) -> str:
    if isinstance(error, httpx.InvalidURL):  # its text is a part of the address
        return "the address is none"
    return said(str(error)) or type(error).__name__
