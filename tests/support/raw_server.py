"""A server that does with a connection what it is told to: HTTP as no honest server speaks it."""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SECONDS = 12.0
"""How long a hostile server goes on; a client with a deadline of a second is gone long before."""

PAUSE = 0.2

Act = Callable[[socket.socket], None]


def dripping(start: bytes, drop: bytes) -> Act:
    """Return what sends a start, and then drop by drop."""

    def act(connection: socket.socket) -> None:
        connection.recv(64 * 1024)
        connection.sendall(start)
        end = time.monotonic() + SECONDS
        while time.monotonic() < end:
            connection.sendall(drop)
            time.sleep(PAUSE)

    return act


def sending(content: bytes, then: float = 0.0) -> Act:
    """Return what sends something, waits, and cuts the connection off."""

    def act(connection: socket.socket) -> None:
        connection.recv(64 * 1024)
        connection.sendall(content)
        time.sleep(then)
        connection.shutdown(socket.SHUT_WR)
        while connection.recv(64 * 1024):  # closed with something unread, it would be reset
            pass

    return act


def sipping(connection: socket.socket) -> None:
    """Read a little now and then, so that whoever sends is never stalled for long."""
    end = time.monotonic() + SECONDS
    while time.monotonic() < end and connection.recv(1024 * 1024):
        time.sleep(PAUSE)


def silent(connection: socket.socket) -> None:
    """Wait."""
    time.sleep(SECONDS)


DRIPS = {
    "header": dripping(b"HTTP/1.1 200 OK\r\nX: ", b"a"),
    "continue": dripping(b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "chunk-extension": dripping(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1", b";x=y"),
    "trailer": dripping(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"a"
    ),
    "body": dripping(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"a"),
}
"""Answers of which there is always a little more."""


@contextmanager
def raw_server(act: Act) -> Iterator[int]:
    """Give the port of a server on 127.0.0.1 that does the same with every connection."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            act(connection)

    def accept() -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = listener.accept()
                threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
