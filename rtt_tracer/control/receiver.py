"""The receiving end: takes messages and shares from pinned certificates only.

gRPC's generic handlers work on bytes: every byte that comes in is parsed here, by the same
strict canonical JSON as all other documents (ADR 0016).
"""

import queue
import threading
from collections.abc import Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import structlog

from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.types import Hex32
from rtt_tracer.agreement.introductions import certificate_digest
from rtt_tracer.control.messages import Final, Message, Stop, unpack
from rtt_tracer.control.shares import ShareError, ShareFolder
from rtt_tracer.control.wire import (
    MAX_CALL_SECONDS,
    MAX_CALLS,
    MAX_INBOX,
    SAY,
    SERVER_OPTIONS,
    SERVICE,
    SHARE,
    WATCH,
    Gone,
    ShareReceived,
    target,
)

log = structlog.get_logger(__name__)
Incoming = tuple[Hex32, Message | ShareReceived | Gone]


class Receiver:
    """A gRPC server over mutual TLS.

    Parameters
    ----------
    certificate, key : str
        This party's own, in PEM.
    inbox : queue.Queue
        Where what comes in is put, with the DT that the sender's certificate stands for.
    shares : ShareFolder, optional
        Where shares are put; None: this party takes none.
    """

    def __init__(
        self,
        certificate: str,
        key: str,
        inbox: "queue.Queue[Incoming]",
        shares: ShareFolder | None,
    ) -> None:
        self._certificate, self._key = certificate, key
        self._inbox, self._shares = inbox, shares
        self._lock = threading.Lock()
        self._dts: Mapping[Hex32, Hex32] = {}  # digest of a certificate → DT
        self._fresh: Any = None  # a configuration that the next handshake takes over
        self._numbers: dict[Hex32, int] = {}
        self._stopping, self._watched = False, dict[Hex32, threading.Event]()
        self.heard: set[Hex32] = set()
        """Peers that have got in."""
        self.ended: set[Hex32] = set()
        """Peers that have said `Final` or `Stop`."""
        self._server = grpc.server(
            ThreadPoolExecutor(MAX_CALLS, "control"),
            handlers=[self._handlers()],
            options=SERVER_OPTIONS,
            maximum_concurrent_rpcs=MAX_CALLS,
        )

    def start(self, host: str, ports: Collection[int]) -> int:
        """Listen on the first free port; nobody is let in before `meet`.

        Raises
        ------
        LocalEnvironmentError
            When none of the ports is free.
        """
        for port in ports:
            # The own certificate as the only root: until the peers are known, nobody has it.
            credentials = grpc.dynamic_ssl_server_credentials(
                self._configuration([self._certificate]),
                self._next_configuration,
                require_client_authentication=True,
            )
            try:
                bound = self._server.add_secure_port(target(host, port), credentials)
            except RuntimeError:
                continue
            if bound:
                self._server.start()
                return int(bound)
        raise LocalEnvironmentError(
            f"The control channel can't listen on {host}: none of its ports is free.",
            "Give the party another range of ports, or stop the program that uses them.",
        )

    def meet(self, certificates: Mapping[Hex32, str]) -> None:
        """Let the peers in: DT → certificate."""
        with self._lock:
            self._dts = {certificate_digest(pem): dt for dt, pem in certificates.items()}
            self._fresh = self._configuration(list(certificates.values()))

    def stop(self, grace: float) -> None:
        """End all calls and close the port."""
        with self._lock:
            self._stopping = True
            for ended in self._watched.values():
                ended.set()
        self._server.stop(grace).wait(grace + 1)

    def _configuration(self, roots: list[str]) -> Any:
        return grpc.ssl_server_certificate_configuration(
            [(self._key.encode(), self._certificate.encode())], "".join(roots).encode()
        )

    def _next_configuration(self) -> Any:
        with self._lock:
            fresh, self._fresh = self._fresh, None
            return fresh

    def _handlers(self) -> Any:
        return grpc.method_handlers_generic_handler(
            SERVICE,
            {
                SAY: grpc.unary_unary_rpc_method_handler(self._say),
                SHARE: grpc.stream_unary_rpc_method_handler(self._share),
                WATCH: grpc.unary_stream_rpc_method_handler(self._watch),
            },
        )

    def _peer(self, context: Any) -> Hex32:
        """Return the DT that the caller's certificate stands for; names in it count nothing."""
        found = context.auth_context().get("x509_pem_cert", [])
        try:
            digest = certificate_digest(found[0].decode("ascii")) if len(found) == 1 else ""
        except ValueError:
            digest = ""
        if (dt := self._dts.get(digest)) is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "certificate of no participant")
            raise AssertionError  # abort raises
        self.heard.add(dt)
        return dt

    def _say(self, content: bytes, context: Any) -> bytes:
        dt = self._peer(context)
        try:
            number, message = unpack(content)
        except BadInputError as error:
            log.warning("malformed control message", dt=dt, why=error.message)
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, error.message[:200])
            raise AssertionError from None  # abort raises
        with self._lock:
            if number <= self._numbers.get(dt, 0):
                return b""  # sent again: it was taken
            if self._inbox.qsize() >= MAX_INBOX:
                context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many messages wait")
            self._numbers[dt] = number
            if isinstance(message, (Final, Stop)):
                self.ended.add(dt)
            self._inbox.put((dt, message))
        return b""

    def _share(self, parts: Iterator[bytes], context: Any) -> bytes:
        dt = self._peer(context)
        remaining = context.time_remaining()
        if remaining is None or remaining > MAX_CALL_SECONDS:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, "a share needs a deadline")
        if self._shares is None:
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "this party takes no shares")
            raise AssertionError  # abort raises
        try:
            received, is_new = self._shares.take(dt, parts)
        except ShareError as problem:
            log.warning("share refused", dt=dt, why=str(problem))
            context.abort(problem.status, str(problem))
            raise AssertionError from None  # abort raises
        if is_new:
            self._inbox.put((dt, received))
        return b""

    def _watch(self, _: bytes, context: Any) -> Iterator[bytes]:
        """Stay open as long as this process lives: that is all it says.

        One for each peer: a newer call ends the one before, so nobody takes all threads.
        """
        dt = self._peer(context)
        ended = threading.Event()
        with self._lock:
            if self._stopping or not context.add_callback(ended.set):
                return
            before, self._watched[dt] = self._watched.get(dt), ended
        if before is not None:
            before.set()
        yield b""
        ended.wait()
