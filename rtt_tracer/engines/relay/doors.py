"""Where connections come in: from the engine's process, and from the peers.

Every new connection is dialled and shaken hands with in a thread of its own, with a deadline,
so that a stray one disturbs nobody; then the pump takes it over.
"""

import contextlib
import os
import socket
import ssl
import stat
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HANDSHAKE_SECONDS = 10.0
RETRY_SECONDS = 0.1
LOST_SECONDS = 2.0
"""How long a peer, or the own engine, is dialled after its time to come is over."""
STRANGERS = 32
"""Handshakes at a time; more are turned away."""

Join = Callable[[socket.socket, socket.socket], None]
Log = Callable[[str], None]


@dataclass(frozen=True)
class Peer:
    """Another linked party, and the one certificate that it may show (DER)."""

    rank: int
    host: str
    port: int
    certificate: bytes

    def __str__(self) -> str:
        """Return how a log names it."""
        return f"rank {self.rank} ({self.host}:{self.port})"


class WrongCertificateError(Exception):
    """Whoever answers is not the party that was introduced."""


def context(
    certificate: Path, key: Path, peers: Mapping[int, Peer], server: bool
) -> ssl.SSLContext:
    """Return TLS 1.3 with a client certificate, which must be one of the peers' own."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server else ssl.PROTOCOL_TLS_CLIENT)
    made.minimum_version = ssl.TLSVersion.TLSv1_3
    made.check_hostname = False  # pinned: a name says less than the certificate itself
    made.verify_mode = ssl.CERT_REQUIRED
    made.load_cert_chain(certificate, key)
    for peer in peers.values():
        made.load_verify_locations(cadata=ssl.DER_cert_to_PEM_cert(peer.certificate))
    return made


Take = Callable[["Peer", ssl.SSLSocket], None]
"""Takes over a connection from a peer that has shown its certificate."""


class Inward:
    """Peers' connections, each handed over once it is known whose it is."""

    def __init__(self, listener: socket.socket, tls: ssl.SSLContext) -> None:
        self._listener, self._tls = listener, tls
        self._free = threading.Semaphore(STRANGERS)

    def run(self, peers: Mapping[int, Peer], take: Take, log: Log) -> None:
        """Accept for ever."""
        known = {peer.certificate: peer for peer in peers.values()}
        while True:
            sock, address = self._listener.accept()
            if not self._free.acquire(blocking=False):
                sock.close()
                continue
            threading.Thread(
                target=self._welcome, args=(sock, address, known, take, log), daemon=True
            ).start()

    def _welcome(
        self,
        sock: socket.socket,
        address: tuple[str, int],
        known: Mapping[bytes, Peer],
        take: Take,
        log: Log,
    ) -> None:
        try:
            sock.settimeout(HANDSHAKE_SECONDS)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            outer = self._tls.wrap_socket(sock, server_side=True)
            peer = known.get(outer.getpeercert(binary_form=True) or b"")
            if peer is None:
                raise WrongCertificateError("its certificate is nobody's of this run")
        except (OSError, ValueError, WrongCertificateError) as error:
            log(f"a stray connection from {address[0]} was refused: {in_words(error)}")
            sock.close()
            return
        finally:
            self._free.release()
        try:
            take(peer, outer)
        except OSError as error:
            log(f"a connection from {peer} could not be carried on: {error}")
            outer.close()


def in_words(error: Exception) -> str:
    """Return why a handshake failed; OpenSSL's own words say little to people."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return "its certificate is not the one that was introduced"
    if isinstance(error, ssl.SSLError) and "ALERT_UNKNOWN_CA" in str(error.reason):
        return "it does not take this party's certificate for the one that was introduced"
    return str(error)


def connect_inside(folder: int, name: str) -> socket.socket:
    """Connect to the unix socket `name` in an open folder, whatever somebody put in its place."""
    flags = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
    place = os.open(name, flags, dir_fd=folder)
    try:
        found = os.fstat(place)
        if not stat.S_ISSOCK(found.st_mode) or found.st_uid != os.geteuid() or found.st_nlink != 1:
            raise OSError(f"{name} is no socket of the engine's")
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(f"/proc/self/fd/{place}")
        except OSError:
            sock.close()
            raise
        return sock
    finally:
        os.close(place)


class Outward:
    """The engine's connections to one peer, which has `seconds` to come.

    Parameters
    ----------
    greeting : bytes
        What the peer's relay hears first.
    """

    def __init__(
        self,
        listener: socket.socket,
        tls: ssl.SSLContext,
        peer: Peer,
        seconds: float,
        greeting: bytes = b"",
    ) -> None:
        self._listener, self._tls, self._peer = listener, tls, peer
        self._until, self._greeting = time.monotonic() + seconds, greeting

    def run(self, join: Join, log: Log) -> None:
        """Accept for ever."""
        while True:
            sock, _ = self._listener.accept()
            threading.Thread(target=self._dial, args=(sock, join, log), daemon=True).start()

    def _dial(self, inner: socket.socket, join: Join, log: Log) -> None:
        deadline, why = max(self._until, time.monotonic() + LOST_SECONDS), ""
        while True:
            try:
                outer = reach(self._peer, self._tls)
                outer.sendall(self._greeting)
            except (OSError, WrongCertificateError) as error:
                if in_words(error) != why:
                    why = in_words(error)
                    log(f"{self._peer} can't be reached: {why}")
                if time.monotonic() > deadline:
                    inner.close()
                    return
                time.sleep(RETRY_SECONDS)
            else:
                self._until = 0.0  # it was there: from now on it is not waited for
                join(inner, outer)
                return


def reach(peer: Peer, tls: ssl.SSLContext) -> ssl.SSLSocket:
    """Connect to a peer and look at its certificate.

    Raises
    ------
    OSError, WrongCertificateError
    """
    sock = socket.create_connection((peer.host, peer.port), HANDSHAKE_SECONDS)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        outer = tls.wrap_socket(sock)
        if outer.getpeercert(binary_form=True) != peer.certificate:
            raise WrongCertificateError("its certificate is not the one that was introduced")
    except (OSError, WrongCertificateError):
        with contextlib.suppress(OSError):
            sock.close()
        raise
    return outer
