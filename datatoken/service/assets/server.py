"""Runs an asset service: one process, one state folder, waitress behind TLS, JSON logs."""

import contextlib
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from datatoken import __version__
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.history import HistoryStore
from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.errors import BadInputError
from datatoken.roles.site import Site
from datatoken.rounds.receipts import Delegation
from datatoken.service.assets.announcing import Announcer
from datatoken.service.assets.app import AssetService, create_app
from datatoken.service.assets.authorizations import AuthorizationDesk
from datatoken.service.assets.book import AssetBook
from datatoken.service.assets.executor import Executor
from datatoken.service.assets.hosted import Assets, Hosted
from datatoken.service.assets.models import Card, CardAsset, Domain, PolicyMode
from datatoken.service.assets.policy import Policy
from datatoken.service.assets.runs import RunDesk
from datatoken.service.client import LogFollower
from datatoken.service.delegations import check_delegation
from datatoken.service.recorders import Recorders
from datatoken.service.running import alone, cannot_listen, configure_logging, end_on_sigterm
from datatoken.service.tls import FrontLimits, TlsFront, self_signed
from datatoken.types import Hex32

log = structlog.get_logger(__name__)
NAME = "asset service"
THREADS = 8
MAX_BODY = 64 * 1024
CHANNEL_TIMEOUT = 60
CONNECTIONS = 600


@dataclass(frozen=True)
class AssetSettings:
    """One asset: its policy, and the owner's word for the service's key."""

    dt: Hex32
    delegation: Delegation
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class ServiceSettings:
    """How an asset service is started.

    Attributes
    ----------
    signer : Signer
        The service's key: the node key that the assets' owner has delegated.
    owner : Signer, optional
        The owner's key, for grants without a human; without it they wait for one.
    announce : bool
        Whether the owner's key announces requests for composites, too.
    port : int
        0 takes a free one.
    certificate, key : Path, optional
        PEM files; by default a self-signed certificate is made in the state folder.
    insecure : bool
        Plain HTTP, for local trials.
    """

    name: str
    domain: Domain
    deployment: Deployment
    store: str
    state: Path
    signer: Signer
    assets: Sequence[AssetSettings]
    owner: Signer | None = None
    announce: bool = True
    host: str = "127.0.0.1"
    port: int = 9443
    certificate: Path | None = None
    key: Path | None = None
    insecure: bool = False
    limits: FrontLimits = field(default_factory=FrontLimits)


@dataclass(frozen=True, slots=True)
class Ready:
    """What a service says once it listens; `certificate` is what clients are to trust."""

    service: str
    url: str
    certificate: str | None


def serve(settings: ServiceSettings, executor: Executor, ready: Callable[[Ready], None]) -> None:
    """Run the service until SIGTERM or SIGINT. Parties go on; the next start finds them again.

    Raises
    ------
    LocalEnvironmentError
        When the port is in use, the folder not writable, or another service uses it.
    BadInputError
        When an asset does not exist, is not delegated to this key, or not the owner's.
    ChainUnreachableError, WrongChainError, StoreError
    """
    configure_logging()
    with (
        alone(settings.state, NAME),
        Site.open(settings.deployment, settings.store, settings.state) as site,
        contextlib.closing(AssetBook(settings.state / "service.sqlite")) as book,
        contextlib.ExitStack() as gates,
    ):
        settings.deployment.verify(site.rpc)
        assets = Assets({one.dt: _hosted(site, settings, one, gates) for one in settings.assets})
        service = AssetService(
            account=settings.signer.address,
            book=book,
            authorizations=AuthorizationDesk(site, assets, book, settings.owner),
            runs=RunDesk(
                site,
                assets,
                book,
                executor,
                settings.state / "runs",
                Announcer(site, settings.owner if settings.announce else None),
            ),
            card=card(settings, site, assets, executor),
        )
        end_on_sigterm()
        _listen(settings, service, ready)


def _listen(
    settings: ServiceSettings, service: AssetService, ready: Callable[[Ready], None]
) -> None:
    from waitress.server import create_server

    with contextlib.ExitStack() as stack:
        if settings.insecure:
            place: dict[str, object] = {"host": settings.host, "port": settings.port}
        else:
            # Not in the state folder: the path of a socket file is at most 107 bytes long.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="datatoken-")))
            place = {"unix_socket": str(folder / "http"), "unix_socket_perms": "600"}
        try:
            server = create_server(
                create_app(service),
                **place,
                threads=THREADS,
                connection_limit=CONNECTIONS,
                channel_timeout=CHANNEL_TIMEOUT,
                max_request_body_size=MAX_BODY,
                max_request_header_size=16 * 1024,
                ident=None,
            )
            stack.callback(server.close)
            said = _front(settings, server, place, stack)
        except (OSError, ValueError) as error:
            raise cannot_listen(NAME, settings.host, settings.port, error) from None
        service.authorizations.loop.start()
        stack.callback(service.authorizations.close)
        service.runs.loop.start()
        stack.callback(service.runs.loop.stop)
        log.info("asset service listens", service=service.account, url=said.url)
        ready(said)
        server.run()


def _front(
    settings: ServiceSettings,
    server: object,
    place: Mapping[str, object],
    stack: contextlib.ExitStack,
) -> Ready:
    host, account = settings.host, settings.signer.address
    if settings.insecure:
        listening = getattr(server, "effective_listen", None)
        port = listening[0][1] if listening else getattr(server, "effective_port", settings.port)
        return Ready(account, f"http://{host}:{port}", None)
    if settings.certificate is not None and settings.key is not None:
        certificate, key = settings.certificate, settings.key
    else:
        certificate, key = self_signed(settings.state, host)
    front = TlsFront(
        host, settings.port, Path(str(place["unix_socket"])), certificate, key, settings.limits
    )
    port = front.start()
    stack.callback(front.stop)
    return Ready(account, f"https://{host}:{port}", str(certificate))


def _hosted(
    site: Site, settings: ServiceSettings, asset: AssetSettings, stack: contextlib.ExitStack
) -> Hosted:
    owner = site.documents.record(asset.dt).owner
    network, signer = site.network, settings.signer
    check_delegation(
        asset.delegation,
        chain_id=network.chain_id,
        registry=network.tokens,
        dt=asset.dt,
        owner=owner,
        node=signer.address,
        now=site.now(),
    )
    automatic = asset.policy.mode is PolicyMode.AUTO
    if automatic and (settings.owner is None or settings.owner.address != owner):
        raise BadInputError(
            f"The policy of DT {asset.dt[:10]}… is auto, and the key of its owner {owner} is "
            "not given.",
            "Name the owner's keystore, or choose the policy queue.",
        )
    folder = settings.state / "gates" / asset.dt[2:18]
    history = HistoryStore(folder / "history.sqlite")
    stack.callback(history.close)
    recorders = Recorders(signer, asset.delegation)
    follower = LogFollower(recorders.client, site.reader, folder / "log.sqlite", own=[asset.dt])
    gatekeeper = Gatekeeper(
        asset.dt,
        site.reader,
        site.store,
        history,
        follower,
        clock_bound=int(site.profile.clock_bound),
    )
    recorders.gatekeeper = gatekeeper
    ddo = site.documents.ddo(asset.dt)
    return Hosted(asset.dt, ddo, owner, asset.policy, asset.delegation, gatekeeper)


def card(settings: ServiceSettings, site: Site, assets: Assets, executor: Executor) -> Card:
    """Return what a service says of itself."""
    return Card(
        service=settings.signer.address,
        name=settings.name,
        domain=settings.domain,
        engine=executor.engine,
        version=__version__,
        chain_id=site.network.chain_id,
        assets=list(_shown(site, assets)),
        isolation=list(executor.isolation()),
    )


def _shown(site: Site, assets: Assets) -> Iterator[CardAsset]:
    for one in assets.hosted.values():
        service = one.ddo.service
        yield CardAsset(
            dt=one.dt,
            name=service.extra_params.name or "",
            type=service.type,
            owner=one.owner,
            owner_name=site.name_of(one.owner),
            policy=one.policy.mode,
            supported_ops=service.supported_ops,
            delegation=one.delegation,
        )
