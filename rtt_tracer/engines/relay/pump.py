"""Moves bytes between pairs of sockets in one thread: a message costs two system calls."""

import collections
import contextlib
import os
import selectors
import socket
import ssl
from collections.abc import Callable

CHUNK = 256 * 1024
HIGH_WATER = 4 * 1024 * 1024
TURNS = 64
"""Reads from one socket before another gets its turn."""


class Side:
    """One socket of a pair, and what is still to be written to it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.other: Side = self
        self.rest = bytearray()
        self.mask = 0
        self.open = True

    @property
    def wanted(self) -> int:
        """What the loop waits for: room to write, and bytes unless the other side is behind."""
        write = selectors.EVENT_WRITE if self.rest else 0
        read = selectors.EVENT_READ if len(self.other.rest) < HIGH_WATER else 0
        return write | read

    def flush(self) -> None:
        """Write as much as the socket takes."""
        while self.rest:
            try:
                sent = self.sock.send(self.rest[:CHUNK])
            except (BlockingIOError, ssl.SSLWantWriteError, ssl.SSLWantReadError):
                return
            del self.rest[:sent]

    def read(self) -> bytes | None:
        """Return bytes, b"" at the end, None when there are none yet."""
        try:
            return self.sock.recv(CHUNK)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None


class Pump:
    """The loop over all pairs.

    Parameters
    ----------
    count : callable
        Told (bytes sent to a peer, bytes received from one).
    """

    def __init__(self, count: Callable[[int, int], None]) -> None:
        self._count = count
        self._selector = selectors.DefaultSelector()
        self._new: collections.deque[tuple[socket.socket, socket.socket]] = collections.deque()
        self._wake_out, self._wake_in = os.pipe()
        os.set_blocking(self._wake_out, False)
        self._selector.register(self._wake_out, selectors.EVENT_READ, None)

    def join(self, inner: socket.socket, outer: socket.socket) -> None:
        """Connect two sockets from now on; any thread may call this."""
        self._new.append((inner, outer))
        os.write(self._wake_in, b"x")

    def run(self) -> None:
        """Move bytes for ever."""
        again: list[Side] = []
        while True:
            ready = list(dict.fromkeys(again))
            again = []
            for key, _ in self._selector.select(0 if ready else None):
                if key.data is None:
                    again += self._take()
                elif key.data not in ready:
                    ready.append(key.data)
            for side in ready:
                if side.open and self._serve(side):
                    again.append(side)

    def _take(self) -> list[Side]:
        """Begin with new pairs; return their sides: bytes may wait inside TLS already."""
        taken: list[Side] = []
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_out, 4096)
        while self._new:
            first, second = (Side(sock) for sock in self._new.popleft())
            first.other, second.other = second, first
            for side in (first, second):
                side.sock.setblocking(False)
                side.mask = side.wanted
                self._selector.register(side.sock, side.mask, side)
                taken.append(side)
        return taken

    def _serve(self, side: Side) -> bool:
        """Write and read what is possible; return whether bytes may wait inside TLS."""
        try:
            side.flush()
            more = self._move(side)
        except OSError:  # SSLError is one
            self._drop(side)
            return False
        if side.open:
            self._watch(side)
            self._watch(side.other)
        return more

    def _move(self, side: Side) -> bool:
        other = side.other
        for _ in range(TURNS):
            if len(other.rest) >= HIGH_WATER:
                return False
            data = side.read()
            if data is None:
                return False
            if not data:
                self._drop(side)
                return False
            if isinstance(side.sock, ssl.SSLSocket):
                self._count(0, len(data))
            else:
                self._count(len(data), 0)
            other.rest += data
            other.flush()
        return True

    def _watch(self, side: Side) -> None:
        if side.mask == side.wanted:
            return
        if side.mask and side.wanted:
            self._selector.modify(side.sock, side.wanted, side)
        elif side.wanted:
            self._selector.register(side.sock, side.wanted, side)
        else:
            self._selector.unregister(side.sock)
        side.mask = side.wanted

    def _drop(self, side: Side) -> None:
        """Close both sides; what the other one has not taken yet is offered once more."""
        for one in (side, side.other):
            one.open = False
            with contextlib.suppress(OSError):
                one.flush()
            if one.mask:
                self._selector.unregister(one.sock)
                one.mask = 0
            with contextlib.suppress(OSError):
                one.sock.close()
