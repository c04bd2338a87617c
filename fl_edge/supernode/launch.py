"""Starts flwr's SuperNode with the gate in its seam.

The order matters: the environment is stripped before flwr is imported (it reads its settings
on import), the seam is checked before anything connects, and the gate is in before flwr starts.
"""

import logging
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from datatoken.errors import BadInputError, ExitCode, LocalEnvironmentError
from datatoken.ports import free_port
from datatoken.service.running import always
from fl_edge.supernode.environment import (
    app_environment,
    check_port,
    fresh_home,
    hide_process,
    lock_state,
    replace_environment,
)
from fl_edge.supernode.output import json_output
from fl_edge.supernode.settings import Settings

if TYPE_CHECKING:
    from datatoken.service.monitor import Monitor
    from fl_edge.supernode.owner import OwnerSide
    from fl_edge.supernode.seam import Link

log = structlog.get_logger(__name__)


def launch(settings: Settings) -> ExitCode:
    """Run a gated SuperNode until it is told to stop; return the exit code.

    Raises
    ------
    DataTokenError
        When it can't be started; nothing has connected to the SuperLink then.
    """
    configure_logging(dt=settings.dt)
    lock = lock_state(settings.state)
    home = fresh_home(settings.state / "flwr")
    port = settings.port or free_port(settings.host)
    check_port(settings.host, port)
    replace_environment(app_environment(os.environ, home, settings.pass_env))
    try:
        make_gate, stop = _prepare(settings, port)
        with json_output():
            return run_gated(settings.flwr_arguments(port), make_gate, stop)
    finally:
        os.close(lock)


def _prepare(
    settings: Settings, port: int
) -> tuple[Callable[["Link"], "Link"], Callable[[], None]]:
    """Check flwr, open the owner's side; return what makes the gate and what stops it."""
    from fl_edge.supernode.apps import AppsFolder
    from fl_edge.supernode.owner import OwnerSide
    from fl_edge.supernode.seam import check_command, check_seam

    check_seam()
    check_command()
    check_arguments(settings.flwr_arguments(port))
    side = OwnerSide.open(settings)
    hide_process()
    apps = AppsFolder(settings.state.resolve() / "flwr")

    served = serve_monitor(side.monitor, settings.metrics_host, settings.metrics_port)
    side.outbox.start()

    def stop() -> None:
        served()
        side.outbox.stop()

    return gates(side, apps.wipe), stop


def gates(side: "OwnerSide", before_run: Callable[[], None]) -> Callable[["Link"], "Link"]:
    """Return what puts this owner's gate around a link.

    Parameters
    ----------
    before_run : callable
        Called before an app is started.
    """
    from fl_edge.supernode.gate import Gate

    def make_gate(link: "Link") -> "Link":
        log.info("gate in place", node=link.node_id)
        gate = Gate(
            link,
            side.authority,
            side.book,
            before_run=before_run,
            after_reply=side.outbox.wake,
            rpcs=side.rpcs,
            monitor=side.monitor,
        )
        return gate.link()

    return make_gate


def serve_monitor(monitor: "Monitor", host: str, port: int | None) -> Callable[[], None]:
    """Serve metrics and health where a port is given; return what ends it.

    Raises
    ------
    LocalEnvironmentError
        When the port can't be had.
    """
    if port is None:
        return lambda: None
    from datatoken.service.monitor import MonitorServer

    server = MonitorServer(monitor, host, port)
    server.start()
    log.info("metrics served", host=host, port=server.port)
    return server.stop


def run_gated(
    arguments: list[str], make_gate: Callable[["Link"], "Link"], stop: Callable[[], None]
) -> ExitCode:
    """Run flwr's SuperNode behind a gate until it ends; return the exit code.

    Raises
    ------
    LocalEnvironmentError
        The seam is gone, or flwr could not start.
    """
    from flwr.supercore.exit import add_exit_handler
    from flwr.supercore.exit.exit_handler import trigger_exit_handlers
    from flwr.supernode.cli import flower_supernode

    from fl_edge.supernode.seam import install

    install(make_gate)
    add_exit_handler(stop)
    sys.argv = ["flower-supernode", *arguments]
    try:
        flower_supernode()
    except SystemExit as ended:
        return ExitCode.OK if ended.code in (None, 0) else ExitCode.ENVIRONMENT
    except RuntimeError as error:
        raise LocalEnvironmentError(f"flwr's SuperNode could not be started: {error}") from None
    finally:
        # flwr's loop has ended: its HTTP thread would keep a dead process alive.
        for early in (True, False):
            trigger_exit_handlers(run_before_force_exit=early)
    log.error("the connection to the SuperLink has ended")
    return ExitCode.RUN_FAILED


def check_arguments(arguments: list[str]) -> None:
    """Refuse arguments that flwr does not know, or that would undo the gate's work.

    Raises
    ------
    BadInputError
    """
    from flwr.supernode.cli.flower_supernode import _parse_args_run_supernode

    try:
        parsed = _parse_args_run_supernode().parse_args(arguments)
    except SystemExit:
        raise BadInputError(
            "flwr's SuperNode does not accept these arguments.", "See: flower-supernode --help."
        ) from None
    if parsed.runtime_dependency_install:
        raise BadInputError(
            "The gate does not allow the installation of dependencies at run time.",
            "Install what the operation's lock names beforehand.",
        )


def configure_logging(**facts: str) -> None:
    """Log to stderr, each line with `facts`: for people on a terminal, else as JSON."""
    shared: list[structlog.types.Processor] = [
        structlog.contextvars.merge_contextvars,
        always(**facts),
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.types.Processor = (
        structlog.dev.ConsoleRenderer()
        if sys.stderr.isatty()
        else structlog.processors.JSONRenderer()
    )
    structlog.configure(
        processors=[*shared, renderer],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
    )
