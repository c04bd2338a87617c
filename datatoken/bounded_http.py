"""HTTP that ends at its deadline, whatever a server sends.

A time-out of httpx is one of a single read: a server that sends a byte of a header, a
``100 Continue`` or a piece of a chunk's extension every now and then is read for ever, and no
part of a body arrives at which a caller could look at the clock. Here the clock is looked at
before every read and write of the socket.

    client = httpx.Client(transport=BoundedTransport())
    client.stream("POST", url, timeout=within(time.monotonic() + 5))

What is late ends with `httpx.TimeoutException`. Names are looked up by the system, within limits
of its own.
"""

import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore
import httpx

PIECE = 64 * 1024
PLAIN = {"accept-encoding": "identity"}
"""Headers of a call whose answer is read by `raw_parts`."""


class _Deadline(float):
    """A time-out in seconds that knows when it was set: httpx hands it down as it is."""

    def __new__(cls, until: float) -> "_Deadline":
        made = super().__new__(cls, max(until - time.monotonic(), 0.0))
        made.until = until
        return made

    until: float


def within(deadline: float) -> httpx.Timeout:
    """Return the time-out of one call that ends at a moment of `time.monotonic`.

    It holds from connecting to the last byte, in a client that has a `BoundedTransport`.
    """
    return httpx.Timeout(_Deadline(deadline))


class BoundedTransport(httpx.HTTPTransport):
    """Connections that keep to the deadline of `within`; thread-safe, as its parent.

    Parameters
    ----------
    verify : ssl.SSLContext or bool
        Whose certificates are trusted; True: those of SSL_CERT_FILE, or of public authorities.
    retries : int
        How often a connection that fails is tried again.
    """

    def __init__(self, verify: ssl.SSLContext | bool = True, retries: int = 0) -> None:
        context = httpx.create_ssl_context(verify)
        super().__init__(verify=context)
        # httpx has no parameter for it, httpcore has.
        self._pool = httpcore.ConnectionPool(
            ssl_context=context,
            max_connections=100,
            max_keepalive_connections=20,
            keepalive_expiry=5.0,
            retries=retries,
            network_backend=_Backend(),
        )


class _Backend(httpcore.SyncBackend):
    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect to the first address of a host that answers, all of them in one deadline."""
        failed: httpcore.ConnectError | httpcore.ConnectTimeout | None = None
        for address in _addresses(host, port):
            left = _left(timeout, httpcore.ConnectTimeout)
            try:
                made = super().connect_tcp(address, port, left, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failed = error
            else:
                return _Stream(made)
        raise failed or httpcore.ConnectError("the name has no address")


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream
        self._socket: socket.socket = stream.get_extra_info("socket")

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        # Not the stream's own: it begins a new time-out with every piece that it gets rid of.
        rest = memoryview(buffer)
        try:
            while rest:
                self._socket.settimeout(_left(timeout, httpcore.WriteTimeout))
                rest = rest[self._socket.send(rest) :]
        except TimeoutError as error:
            raise httpcore.WriteTimeout(str(error)) from error
        except OSError as error:
            raise httpcore.WriteError(str(error)) from error

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _addresses(host: str, port: int) -> list[str]:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:  # a label that is too long is the latter
        raise httpcore.ConnectError(str(error)) from error
    return list(dict.fromkeys(_numeric(entry[4]) for entry in found))


def _numeric(address: tuple[Any, ...]) -> str:
    scope = f"%{address[3]}" if len(address) == 4 and address[3] else ""
    return f"{address[0]}{scope}"


def _left(timeout: float | None, late: type[httpcore.TimeoutException]) -> float | None:
    """Return how many seconds the next step may take."""
    if not isinstance(timeout, _Deadline):
        return timeout
    left = timeout.until - time.monotonic()
    if left <= 0:
        raise late("the deadline has passed")
    return left


class OversizedError(ValueError):
    """A body is longer than it may be."""


def raw_parts(response: httpx.Response, limit: int) -> Iterator[bytes]:
    """Yield a body as it is sent, in pieces of `PIECE` bytes: what is packed may be a bomb.

    Raises
    ------
    OversizedError
        When it is, or says that it is, longer than `limit` bytes.
    httpx.DecodingError
        When it is packed, though nobody asked for that (send ``accept-encoding: identity``).
    """
    if response.headers.get("content-encoding", "identity").strip().lower() != "identity":
        raise httpx.DecodingError("the answer is compressed")
    length = response.headers.get("content-length", "")
    size = int(length) if length.isdecimal() and len(length) < 20 else 0
    if size <= limit:
        size = 0
        for part in response.iter_raw(PIECE):
            size += len(part)
            if size > limit:
                break
            yield part
    if size > limit:
        raise OversizedError(f"the answer exceeds {limit} bytes")


def read_body(response: httpx.Response, limit: int) -> bytes:
    """Return a body of at most `limit` bytes; see `raw_parts`."""
    return b"".join(raw_parts(response, limit))
