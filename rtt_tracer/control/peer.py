"""The sending end: one peer, reached where it introduced itself, known by its certificate."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import canonical_bytes
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import Contact
from rtt_tracer.control.messages import Message, ShareHead, pack
from rtt_tracer.control.wire import (
    CHUNK_BYTES,
    CLIENT_OPTIONS,
    RETRY_SECONDS,
    SAY,
    SHARE,
    WATCH,
    method,
    target_of,
)

_AGAIN = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.ABORTED, grpc.StatusCode.CANCELLED)


class Peer:
    """Sends to one peer; messages arrive in the order in which they were given.

    Parameters
    ----------
    dt : Hex32
        The peer.
    contact : Contact
        Where it listens, and its certificate: the only one that is taken.
    certificate, key : str
        This party's own, in PEM.
    """

    def __init__(self, dt: Hex32, contact: Contact, certificate: str, key: str) -> None:
        self.dt = dt
        self.bytes_sent = 0
        credentials = grpc.ssl_channel_credentials(
            contact.certificate.encode(), key.encode(), certificate.encode()
        )
        self._channel = grpc.secure_channel(target_of(contact), credentials, CLIENT_OPTIONS)
        self._say = self._channel.unary_unary(method(SAY))
        self._share = self._channel.stream_unary(method(SHARE))
        self._watch = self._channel.unary_stream(method(WATCH))
        self._in_order = ThreadPoolExecutor(1, "say")
        self._lock = threading.Lock()
        self._number = 0
        self._closed = threading.Event()

    def say(self, message: Message, timeout: float) -> "Future[None]":
        """Send a message after those before it; the future raises `Refused`."""
        with self._lock:
            self._number += 1
            content = pack(self._number, message)
            deadline = time.monotonic() + timeout
            return self._in_order.submit(self._until, deadline, self._send, content)

    def tell(self, message: Message, timeout: float) -> None:
        """Send a message now, past those that wait; raise `Refused` when it does not arrive."""
        with self._lock:
            self._number += 1
            content = pack(self._number, message)
        self._until(time.monotonic() + timeout, self._send, content)

    def send_share(self, head: ShareHead, path: Path, timeout: float) -> None:
        """Send a file; it is on the peer's disk when this returns.

        Raises
        ------
        Refused
            PARTY_MISSING when the peer does not answer, PARTY_STOPPED when it refuses.
        """
        self._until(time.monotonic() + timeout, self._send_share, (head, path))

    def watch(self, grace: float, came: Callable[[], bool], gone: Callable[[str], None]) -> None:
        """Return when the peer was there and has been away for `grace`, or on `close`.

        Parameters
        ----------
        came : callable
            Tells whether the peer has been heard of over a connection of its own.
        gone : callable
            Called with one sentence, unless this party closed first.
        """
        there, lost = False, time.monotonic()
        while not self._closed.is_set():
            call = self._watch(b"", wait_for_ready=True)
            timer = threading.Timer(max(0.1, lost + grace - time.monotonic()), call.cancel)
            timer.daemon = True
            timer.start()
            connected = False
            try:
                for _ in call:
                    timer.cancel()
                    connected = there = True
                if not self._closed.is_set():
                    gone("it has closed the connection")
                return
            except grpc.RpcError:
                timer.cancel()
            now = time.monotonic()
            if connected or not there:
                there, lost = there or came(), now
            elif now - lost >= grace and not self._closed.is_set():
                gone(f"it has been out of reach for {grace:g} s")
                return
            self._closed.wait(RETRY_SECONDS)

    def close(self) -> None:
        """End all calls."""
        self._closed.set()
        self._in_order.shutdown(wait=False, cancel_futures=True)
        self._channel.close()

    def _send(self, content: bytes, timeout: float) -> None:
        self._say(content, timeout=timeout, wait_for_ready=True)
        self.bytes_sent += len(content)

    def _send_share(self, share: tuple[ShareHead, Path], timeout: float) -> None:
        head, path = share
        self._share(_parts(head, path), timeout=timeout, wait_for_ready=True)
        self.bytes_sent += head.size

    def _until(self, deadline: float, send: Callable[[Any, float], None], what: Any) -> None:
        """Send until it arrives, the peer refuses it, or time is up."""
        while True:
            left = deadline - time.monotonic()
            if left <= 0 or self._closed.is_set():
                raise self._missing()
            try:
                return send(what, left)
            except grpc.RpcError as error:
                status = error.code()
                if status is grpc.StatusCode.DEADLINE_EXCEEDED:
                    raise self._missing() from None
                if status not in _AGAIN:
                    raise Refused(
                        Reason.PARTY_STOPPED,
                        f"DT {self.dt[:10]}… does not take what it is sent: "
                        f"{status.name} ({_sentence(error)}).",
                    ) from None
            except ValueError:  # the channel was closed meanwhile
                raise self._missing() from None
            self._closed.wait(min(RETRY_SECONDS, max(0.0, deadline - time.monotonic())))

    def _missing(self) -> Refused:
        return Refused(
            Reason.PARTY_MISSING,
            f"DT {self.dt[:10]}… does not answer where it introduced itself, "
            "or not with the certificate that it named.",
        )


def share_head(name: str, path: Path) -> ShareHead:
    """Return what goes before a file's bytes; raise `ValidationError` or `OSError`."""
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            digest.update(chunk)
            size += len(chunk)
    return ShareHead(name=name, size=size, sha256="0x" + digest.hexdigest())


def _parts(head: ShareHead, path: Path) -> Iterator[bytes]:
    yield canonical_bytes(head)
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _sentence(error: Any) -> str:
    """Return what the peer says, without what could break a log line."""
    text = "".join(c if c.isprintable() else " " for c in str(error.details() or ""))
    return text[:200]
