"""Runs the recorder: one process, one state folder, waitress in front, JSON logs on stderr."""

import contextlib
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import structlog

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.errors import LocalEnvironmentError
from datatoken.roles.site import Site
from datatoken.rounds.grouping import DEFAULT_LINGER
from datatoken.service.app import create_app
from datatoken.service.jobs import Jobs
from datatoken.service.ledger import Ledger
from datatoken.service.logger import ChainAppender, RoundLogger
from datatoken.service.recorder import Recorder
from datatoken.types import Address

log = structlog.get_logger(__name__)
THREADS = 8
MAX_BODY = 1024 * 1024
CHANNEL_TIMEOUT = 30
CONNECTIONS = 1000


@dataclass(frozen=True)
class RecorderSettings:
    """How a recorder is started.

    Attributes
    ----------
    store : str
        Folder or address of the store with the DDOs.
    state : Path
        The recorder's own folder: ledger, transaction journal, lock.
    port : int
        0 takes a free one.
    auditors : sequence of Address
        Accounts that may read the documents of every job.
    linger : int
        Seconds that late receipts wait for a round to go with.
    """

    deployment: Deployment
    signer: Signer
    store: str
    state: Path
    host: str = "127.0.0.1"
    port: int = 9095
    auditors: Sequence[Address] = ()
    linger: int = DEFAULT_LINGER


def serve(settings: RecorderSettings, ready: Callable[[str], None]) -> None:
    """Run the recorder until SIGTERM or SIGINT.

    Parameters
    ----------
    ready : callable
        Called with the address once it listens.

    Raises
    ------
    LocalEnvironmentError
        When the port is in use, the folder not writable, or another recorder uses it.
    ChainUnreachableError, WrongChainError
        When the chain is not there, or another one.
    """
    from waitress.server import create_server

    configure_logging()
    with (
        _alone(settings.state),
        Site.open(settings.deployment, settings.store, settings.state) as site,
        contextlib.closing(Ledger(settings.state / "recorder.sqlite")) as ledger,
        site.sender(settings.signer) as sender,
    ):
        settings.deployment.verify(site.rpc)
        address = settings.signer.address
        recorder = Recorder(
            settings.signer,
            site.network,
            Jobs(address, site.reader, site.documents),
            ledger,
            auditors=settings.auditors,
            linger=settings.linger,
        )
        logger = RoundLogger(recorder, ChainAppender(sender, site.contracts.log))
        try:
            server = create_server(
                create_app(recorder, logger),
                host=settings.host,
                port=settings.port,
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=CHANNEL_TIMEOUT,
                max_request_body_size=MAX_BODY,
                ident=None,
            )
        except (OSError, ValueError) as error:
            raise LocalEnvironmentError(
                f"The recorder can't listen on {settings.host}:{settings.port}: "
                f"{getattr(error, 'strerror', None) or error}.",
                "Choose another port, or stop the program that uses it.",
            ) from None
        signal.signal(signal.SIGTERM, _terminate)
        logger.start()
        try:
            port = _port(server)
            log.info("recorder listens", recorder=address, port=port)
            ready(f"http://{settings.host}:{port}")
            server.run()
        finally:
            logger.stop()
            server.close()


def configure_logging() -> None:
    """Write JSON lines to stderr: time, level, event and its fields; never a request's body."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


@contextlib.contextmanager
def _alone(state: Path) -> Iterator[None]:
    """Hold the folder's lock: two recorders on one ledger would log rounds twice."""
    try:
        state.mkdir(parents=True, exist_ok=True)
        handle = os.open(state / "recorder.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise LocalEnvironmentError(
            f"The state folder {state} can't be used: {error.strerror}.",
            "Give a folder that this account may write to.",
        ) from None
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(handle)
        raise LocalEnvironmentError(
            f"Another recorder uses the state folder {state}.",
            "Stop it, or give this one a folder of its own.",
        ) from None
    try:
        yield
    finally:
        os.close(handle)


def _port(server: Any) -> int:
    """Return the port; a name with several addresses gives a server with several sockets."""
    sockets = getattr(server, "effective_listen", None)
    return int(sockets[0][1] if sockets else server.effective_port)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise SystemExit(0)
