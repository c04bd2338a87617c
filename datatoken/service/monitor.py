"""What the daemon of a gate tells of itself: counts, seconds, health.

Nobody is asked who reads it: it holds counts and reason codes, no id and no text of others. It
listens on this machine unless it is told otherwise.
"""

import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Protocol

import structlog

from datatoken.authorization.reasons import Reason, public_sentence
from datatoken.authorization.view import ChainState, Check, Network
from datatoken.errors import DataTokenError
from datatoken.service.metrics import CONTENT_TYPE, Metrics
from datatoken.service.running import cannot_listen
from datatoken.types import Hex32, MessageKind

log = structlog.get_logger(__name__)
KEPT_SECONDS = 5.0
"""A probe's answer is given again for so long: whoever asks often sends nothing out."""
MAX_CALLS = 16
CALL_SECONDS = 10.0
RUN = "run"
OTHER = "unknown"
_KINDS = frozenset({RUN, *(kind.value for kind in MessageKind)})

Probe = Callable[[], str | None]
"""Asks something that the daemon needs; returns why it does not answer, None when it does."""


class Reader(Protocol):
    """What a gatekeeper reads from a chain (`datatoken.authorization.gate.Reader`)."""

    network: Network

    def check(self, job: Hex32) -> Check:
        """Return the facts that change with each round."""
        ...

    def snapshot(
        self, job: Hex32, edges: list[tuple[Hex32, Hex32]], operations: list[Hex32]
    ) -> ChainState:
        """Return everything that a decision reads."""
        ...


class Monitor:
    """Counts what a gate decides, and asks what it depends on. Thread-safe.

    Parameters
    ----------
    daemon : str
        ``supernode`` or ``superlink``: part of every name.
    clock : callable
        Returns Unix time in seconds.
    """

    def __init__(self, daemon: str, clock: Callable[[], float] = time.time) -> None:
        self.daemon, self._clock = daemon, clock
        meaning = "Messages let through (OK), or refused with a reason."
        self._metrics = Metrics(daemon, "messages", ("kind", "outcome"), meaning)
        self._gauges: list[Callable[[], Mapping[str, int]]] = []
        self._probes: dict[str, Probe] = {}
        self._viewed: int | None = None
        self._health: tuple[float, dict[str, str]] | None = None
        self._lock = threading.Lock()

    def add_gauges(self, gauges: Callable[[], Mapping[str, int]]) -> None:
        """Add values that are looked up whenever somebody asks."""
        self._gauges.append(gauges)

    def add_probe(self, name: str, probe: Probe) -> None:
        """Add something that the daemon needs."""
        self._probes[name] = probe

    # What a gate reports

    def passed(self, kind: str) -> None:
        """Count a message (or run) that was let through."""
        self._metrics.count(_known(kind), "OK")

    def refused(self, kind: str, reason: Reason) -> None:
        """Count a message (or run) that was refused."""
        self._metrics.count(_known(kind), reason.value)

    def round(self) -> None:
        """Count a round that went out, or a reply that left."""
        self._metrics.bump("rounds")

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """Measure a decision, whatever it is."""
        started = time.perf_counter()
        try:
            yield
        finally:
            self._metrics.observe("decision", time.perf_counter() - started)

    def watched(self, reader: Reader) -> "WatchedReader":
        """Return a reader whose views are noted here."""
        return WatchedReader(reader, self)

    def saw(self, block_time: int) -> None:
        """Note the time of the block of a view."""
        self._viewed = block_time

    # What is told

    def text(self) -> str:
        """Return the metrics."""
        gauges: dict[str, int | float] = {}
        for more in self._gauges:
            gauges |= more()
        if self._viewed is not None:
            gauges["last_view_age_seconds"] = max(0, int(self._clock()) - self._viewed)
        return self._metrics.text(gauges)

    def health(self) -> tuple[bool, dict[str, Any]]:
        """Return whether all is well, and what each probe says: ``ok``, or why not."""
        with self._lock:
            now = time.monotonic()
            if self._health is None or now - self._health[0] > KEPT_SECONDS:
                found = {name: _ask(name, probe) for name, probe in self._probes.items()}
                self._health = time.monotonic(), found
            said = self._health[1]
        well = all(word == "ok" for word in said.values())
        return well, {"status": "ok" if well else "degraded", "daemon": self.daemon, **said}


class WatchedReader:
    """A reader whose views are noted.

    Parameters
    ----------
    reader : Reader
    monitor : Monitor
    """

    def __init__(self, reader: Reader, monitor: Monitor) -> None:
        self.network, self.reader, self._monitor = reader.network, reader, monitor

    def check(self, job: Hex32) -> Check:
        """Return the facts that change with each round."""
        found = self.reader.check(job)
        self._monitor.saw(found.time)
        return found

    def snapshot(
        self, job: Hex32, edges: list[tuple[Hex32, Hex32]], operations: list[Hex32]
    ) -> ChainState:
        """Return everything that a decision reads."""
        found = self.reader.snapshot(job, edges, operations)
        self._monitor.saw(found.time)
        return found


class MonitorServer:
    """Serves ``/metrics`` and ``/healthz`` in threads of its own.

    Parameters
    ----------
    monitor : Monitor
    host : str
    port : int
        0 takes a free one; `port` says which.

    Raises
    ------
    LocalEnvironmentError
        When the port can't be had.
    """

    def __init__(self, monitor: Monitor, host: str, port: int) -> None:
        try:
            self._server = _Server((host, port), _handler(monitor))
        except (OSError, OverflowError) as error:
            raise cannot_listen("metrics' server", host, port, error) from None
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(
            target=self._server.serve_forever, name="metrics", daemon=True
        )

    def start(self) -> None:
        """Start answering."""
        self._thread.start()

    def stop(self) -> None:
        """End it."""
        if self._thread.is_alive():
            self._server.shutdown()
        self._server.server_close()


class _Server(ThreadingHTTPServer):
    """At most `MAX_CALLS` at a time; who is slow is cut off."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, address: tuple[str, int], handler: type[BaseHTTPRequestHandler]) -> None:
        self._free = threading.BoundedSemaphore(MAX_CALLS)
        super().__init__(address, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a caller that went away is not worth a line."""


def _handler(monitor: Monitor) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        server_version, sys_version = "datatoken", ""
        timeout = CALL_SECONDS

        def do_GET(self) -> None:
            if self.path == "/metrics":
                self._answer(200, CONTENT_TYPE, monitor.text())
            elif self.path == "/healthz":
                well, found = monitor.health()
                self._answer(200 if well else 503, "application/json", json.dumps(found))
            else:
                self._answer(404, "application/json", '{"code": "NOT_FOUND"}')

        def _answer(self, status: int, kind: str, text: str) -> None:
            content = text.encode()
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(content)))
            self.send_header("Cache-Control", "no-store")
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Log no line a call."""

    return Handler


def _known(kind: str) -> str:
    return kind if kind in _KINDS else OTHER


def _ask(name: str, probe: Probe) -> str:
    """Ask; what names endpoints and paths goes to the own log, whoever asks gets a code."""
    try:
        return probe() or "ok"
    except DataTokenError as error:
        log.warning("not well", probe=name, reason=error.code, sentence=error.message)
        return f"{error.code}: {public_sentence(error.code, error.message)}"[:300]
    except Exception as error:  # whoever asks is told that it is not well, and no more
        log.warning("not well", probe=name, error=repr(error))
        return type(error).__name__
