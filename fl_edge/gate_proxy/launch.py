"""Starts a gate proxy: checks everything, then listens for the SuperNode."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from datatoken.errors import BadInputError, ExitCode, LocalEnvironmentError
from datatoken.ports import free_port
from datatoken.service.running import end_on_sigterm
from fl_edge.gate_proxy.settings import Settings
from fl_edge.supernode.environment import (
    app_environment,
    check_port,
    fresh_home,
    hide_process,
    lock_state,
    replace_environment,
)
from fl_edge.supernode.launch import configure_logging, gates, serve_monitor
from fl_edge.supernode.output import json_output

if TYPE_CHECKING:
    from fl_edge.supernode.seam import Link


def launch(settings: Settings) -> ExitCode:
    """Run a gate proxy until it is told to stop; return the exit code.

    Raises
    ------
    DataTokenError
        When it can't be started; nothing has connected to the SuperLink then.
    """
    configure_logging(dt=settings.dt)
    lock = lock_state(settings.state)
    try:
        check_port(settings.host, settings.port)
        home = fresh_home(settings.state / "flwr")
        replace_environment(app_environment(os.environ, home, ()))
        return _run(settings)
    finally:
        os.close(lock)


def _run(settings: Settings) -> ExitCode:
    from fl_edge.supernode.apps import AppsFolder
    from fl_edge.supernode.owner import OwnerSide

    check_versions()
    side = OwnerSide.open(settings)
    hide_process()
    wipe = AppsFolder(settings.app_home).wipe if settings.app_home else lambda: None

    stop_monitor = serve_monitor(side.monitor, settings.metrics_host, settings.metrics_port)
    side.outbox.start()
    try:
        with json_output():
            serve(settings, gates(side, wipe))
    finally:
        stop_monitor()
        side.outbox.stop()
    return ExitCode.OK


def serve(settings: Settings, make_gate: Callable[["Link"], "Link"]) -> None:
    """Serve a SuperNode through gates until SIGTERM or SIGINT.

    Raises
    ------
    BadInputError
        A key or certificate is none.
    """
    import uvicorn

    from fl_edge.gate_proxy.fleet import Fleet
    from fl_edge.gate_proxy.keys import (
        read_private_key,
        read_public_key,
        read_root_certificates,
    )
    from fl_edge.gate_proxy.server import Server, make_app
    from fl_edge.gate_proxy.uplink import Uplink

    roots = settings.root_certificates
    uplink = Uplink(
        settings.superlink,
        insecure=settings.insecure,
        root_certificates=read_root_certificates(roots) if roots else None,
        key=read_private_key(settings.auth_key) if settings.auth_key else None,
    )
    allowed = read_public_key(settings.supernode_key) if settings.supernode_key else None
    port = settings.port or free_port(settings.host)
    try:
        server = Server(
            uvicorn.Config(
                make_app(Fleet(uplink, make_gate, allowed)),
                host=settings.host,
                port=port,
                log_level="warning",
                ssl_certfile=settings.certificate,
                ssl_keyfile=settings.key,
                timeout_graceful_shutdown=5,
                ws="none",
            ),
            uplink.end_waits,
        )
        server.config.load()
    except OSError as error:  # ssl.SSLError is one
        raise BadInputError(f"The certificate can't be used: {error}.") from None
    end_on_sigterm()
    try:
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        uplink.stop()


def check_versions() -> None:
    """Check that this flwr's Fleet API is one that the proxy speaks.

    Raises
    ------
    LocalEnvironmentError
    """
    try:
        import fl_edge.gate_proxy.server  # noqa: F401
    except ImportError as error:
        raise LocalEnvironmentError(
            f"This flwr has another Fleet API ({error.name}); nothing was started.",
            "Install a version of flwr that this version supports: 1.40 or 1.41.",
        ) from None
