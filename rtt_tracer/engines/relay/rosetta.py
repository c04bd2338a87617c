"""The manner of Rosetta: sockets of the empty network that its process lives in.

A socket stays in the network it was made in. Rosetta's guardian connects to `DOOR` and hands
over one listening socket for each peer, where Rosetta looks for that peer, and sockets that
are not connected yet, with which this process reaches Rosetta's own port from outside. So
Rosetta may bind 0.0.0.0 and speak plain TCP where nobody else can hear or reach it.
"""

import array
import contextlib
import queue
import select
import socket
import ssl
import struct
import threading
import time

from .doors import (
    HANDSHAKE_SECONDS,
    RETRY_SECONDS,
    Outward,
    Peer,
    WrongCertificateError,
    in_words,
    reach,
)
from .setup import Setup, listen, thread
from .words import CERTIFICATE_REFUSED, PEER_MISSING, Meeting, Words

DOOR = "door"
LINK, WORDS = b"L", b"W"
"""What a connection between two relays is for: its first byte."""
MAX_SOCKETS = 32
NUMBER = 4
"""Bytes with which Rosetta says who calls: its rank, little-endian."""
REFUSED_SECONDS = 3.0
"""How long another certificate than the introduced one is borne with."""


def start(setup: Setup) -> None:
    """Open the doors; raise `OSError`."""
    meeting = Meeting(setup.rank, setup.config["hello"], tuple(setup.peers))
    hub = Hub(setup, meeting)
    thread(setup.inward.run, setup.peers, hub.take, setup.log)
    thread(hub.serve_guardian, listen(setup.place, DOOR))
    for rank, peer in setup.peers.items():
        if rank > setup.rank:
            thread(hub.call, peer)
    thread(hub.expect)
    thread(setup.pump.run)


class Locked:
    """A TLS connection that one thread may read while another one writes: OpenSSL's may not."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self._sock, self._lock = sock, threading.Lock()
        sock.setblocking(False)

    def recv(self, size: int, /) -> bytes:
        """Return bytes, none at the end."""
        while True:
            with self._lock, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                return self._sock.recv(size)
            select.select([self._sock], [], [])

    def sendall(self, content: bytes, /) -> None:
        """Send all of it."""
        rest = memoryview(content)
        while rest:
            with self._lock, contextlib.suppress(ssl.SSLWantReadError, ssl.SSLWantWriteError):
                rest = rest[self._sock.send(rest) :]
                continue
            select.select([], [self._sock], [], HANDSHAKE_SECONDS)


class Hub:
    """Joins Rosetta's process, this process, and the peers' relays."""

    def __init__(self, setup: Setup, meeting: Meeting) -> None:
        self._setup, self._meeting = setup, meeting
        self._diallers: queue.Queue[socket.socket] = queue.Queue()
        self._port = int(setup.config["hello"]["port"])
        self._patience = float(setup.config["hello"]["patience"])

    def take(self, peer: Peer, outer: ssl.SSLSocket) -> None:
        """Take over a connection from a peer."""
        kind = outer.recv(1)
        if kind == WORDS and peer.rank < self._setup.rank:
            self._talk(peer, outer)
        elif kind == LINK:
            self._link(peer, outer)
        else:
            outer.close()

    def call(self, peer: Peer) -> None:
        """Reach a peer for words, as long as there is time."""
        begun, refused = time.monotonic(), 0.0
        while True:
            now = time.monotonic()
            try:
                outer = reach(peer, self._setup.clients[peer.rank])
            except (ssl.SSLError, WrongCertificateError) as error:
                refused = refused or now
                if now > refused + REFUSED_SECONDS:
                    self._setup.log(f"{peer} can't be reached: {in_words(error)}")
                    word = f"rank {peer.rank} shows another certificate than it introduced"
                    self._meeting.fail(CERTIFICATE_REFUSED, word)
                    return
            except OSError:
                refused = 0.0
            else:
                outer.sendall(WORDS)
                self._talk(peer, outer)
                return
            if now > begun + self._patience:
                return
            time.sleep(RETRY_SECONDS)

    def expect(self) -> None:
        """Give up when a peer has not come in time."""
        time.sleep(self._patience)
        if lacking := self._meeting.lacking:
            names = ", ".join(str(self._setup.peers[rank]) for rank in lacking)
            self._meeting.fail(PEER_MISSING, f"{names} did not come in time")

    def _talk(self, peer: Peer, outer: ssl.SSLSocket) -> None:
        """Listen to a peer's words until it has no more."""
        words = Words(Locked(outer))
        if not self._meeting.join(peer.rank, words):
            outer.close()
            return
        why = "went away"
        try:
            for word in words:
                self._meeting.heard(peer.rank, word)
        except ssl.SSLError as error:
            why = f"ended the connection ({error.reason or 'TLS'})"
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            why = "broke the connection"
        self._meeting.gone(peer.rank, f"rank {peer.rank} {why}")

    def _link(self, peer: Peer, outer: ssl.SSLSocket) -> None:
        """Carry a peer's connection on to Rosetta, once it has said who it is."""
        number = b""
        outer.settimeout(self._setup.seconds)
        while len(number) < NUMBER:
            chunk = outer.recv(NUMBER - len(number))
            if not chunk:
                outer.close()
                return
            number += chunk
        if int.from_bytes(number, "little") != peer.rank:
            self._setup.log(f"{peer} said that it was {number.hex()}")
            outer.close()
            return
        inner = self._rosetta()
        inner.sendall(number)
        self._setup.pump.join(inner, outer)

    def _rosetta(self) -> socket.socket:
        """Connect to Rosetta's own port, which may not be open yet."""
        try:
            inner = self._diallers.get(timeout=self._setup.seconds)
        except queue.Empty:
            raise OSError("Rosetta has no more sockets to be reached by") from None
        deadline = time.monotonic() + self._setup.seconds
        while True:
            try:
                inner.connect(("127.0.0.1", self._port))
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(RETRY_SECONDS / 4)
            else:
                inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                # A plain end Rosetta's server waits on for ever; a break it understands.
                inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return inner

    def serve_guardian(self, door: socket.socket) -> None:
        """Serve the first process that comes: nothing of the operation runs before it."""
        guardian, _ = door.accept()
        door.close()
        first, sockets = _receive(guardian)
        peers = sorted(self._setup.peers)
        listeners, diallers = sockets[: len(peers)], sockets[len(peers) :]
        for one in diallers:
            self._diallers.put(one)
        for rank, listener in zip(peers, listeners, strict=False):
            outward = Outward(
                listener,
                self._setup.clients[rank],
                self._setup.peers[rank],
                self._setup.seconds,
                LINK,
            )
            thread(outward.run, self._setup.pump.join, self._setup.log)
        teller = threading.Thread(target=self._tell, args=(guardian,), daemon=True)
        teller.start()
        words = Words(guardian, first)
        with contextlib.suppress(OSError, ValueError, TypeError):
            for word in words:
                if word.get("done"):
                    self._meeting.done()
        self._meeting.leave()

    def _tell(self, guardian: socket.socket) -> None:
        words = Words(guardian)
        with contextlib.suppress(OSError):
            while True:
                words.say(self._meeting.news.get())


def _receive(guardian: socket.socket) -> tuple[bytes, list[socket.socket]]:
    """Return the guardian's first bytes and the sockets that came with them."""
    size = array.array("i").itemsize
    content, extras, _, _ = guardian.recvmsg(65536, socket.CMSG_SPACE(MAX_SOCKETS * size))
    found: list[socket.socket] = []
    for level, kind, data in extras:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            numbers = array.array("i", data[: len(data) - len(data) % size])
            found += [socket.socket(fileno=number) for number in numbers]
    return content, found
