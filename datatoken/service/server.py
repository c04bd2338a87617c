"""Runs the recorder: one process, one state folder, waitress in front, JSON logs on stderr."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.roles.site import Site
from datatoken.rounds.grouping import DEFAULT_LINGER
from datatoken.service.app import create_app
from datatoken.service.jobs import Jobs
from datatoken.service.ledger import Ledger
from datatoken.service.logger import ChainAppender, RoundLogger
from datatoken.service.recorder import Recorder
from datatoken.service.rendezvous import Introductions, Rendezvous
from datatoken.service.running import alone, cannot_listen, configure_logging, end_on_sigterm
from datatoken.service.tls import TlsFront
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
    certificate, key : Path, optional
        PEM files for HTTPS; without them the recorder speaks plain HTTP.
    """

    deployment: Deployment
    signer: Signer
    store: str
    state: Path
    host: str = "127.0.0.1"
    port: int = 9095
    auditors: Sequence[Address] = ()
    linger: int = DEFAULT_LINGER
    certificate: Path | None = None
    key: Path | None = None


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
    configure_logging()
    with (
        alone(settings.state, "recorder"),
        Site.open(settings.deployment, settings.store, settings.state) as site,
        contextlib.closing(Ledger(settings.state / "recorder.sqlite")) as ledger,
        contextlib.closing(Introductions(settings.state / "introductions.sqlite")) as introductions,
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
        app = create_app(recorder, logger, Rendezvous(recorder, introductions))
        with _listening(settings, app) as (server, url):
            end_on_sigterm()
            logger.start()
            try:
                log.info("recorder listens", recorder=address, url=url)
                ready(url)
                server.run()
            finally:
                logger.stop()


@contextlib.contextmanager
def _listening(settings: RecorderSettings, app: Any) -> Iterator[tuple[Any, str]]:
    """Listen; give the server, which is still to be run, and its address."""
    from waitress.server import create_server

    with contextlib.ExitStack() as stack:
        place: dict[str, object] = {"host": settings.host, "port": settings.port}
        if settings.certificate is not None:
            # Not in the state folder: the path of a socket file is at most 107 bytes long.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datatoken-")))
            place = {"unix_socket": str(folder / "http"), "unix_socket_perms": "600"}
        try:
            server = create_server(
                app,
                **place,
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=CHANNEL_TIMEOUT,
                max_request_body_size=MAX_BODY,
                ident=None,
            )
            stack.callback(server.close)
            if settings.certificate is None or settings.key is None:
                url = f"http://{settings.host}:{_port(server)}"
            else:
                socket = Path(str(place["unix_socket"]))
                files = (settings.certificate, settings.key)
                front = TlsFront(settings.host, settings.port, socket, *files)
                stack.callback(front.stop)
                url = f"https://{settings.host}:{front.start()}"
        except (OSError, ValueError) as error:
            raise cannot_listen("recorder", settings.host, settings.port, error) from None
        yield server, url


def _port(server: Any) -> int:
    """Return the port; a name with several addresses gives a server with several sockets."""
    sockets = getattr(server, "effective_listen", None)
    return int(sockets[0][1] if sockets else server.effective_port)
