"""Starts flwr's SuperLink with the gate in its seams.

The order matters: the environment is stripped before flwr is imported (it reads its settings
on import), the seams are checked and replaced before anything listens.
"""

import os
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from datatoken.errors import BadInputError, ExitCode, LocalEnvironmentError
from fl_edge.superlink.settings import Settings
from fl_edge.supernode.environment import (
    app_environment,
    check_port,
    fresh_home,
    hide_process,
    lock_state,
    replace_environment,
)
from fl_edge.supernode.launch import configure_logging, serve_monitor
from fl_edge.supernode.output import json_output

if TYPE_CHECKING:
    from fl_edge.superlink.maker import MakerSide

SPOOL_VARIABLE = "DATATOKEN_SPOOL"
"""As in `fl_edge.strategy.spool`, which imports flwr."""

FORBIDDEN = (
    "--simulation",
    "--allow-runtime-dependency-installation",
    "--isolation",  # the ServerApp's process has to be ours to start
)

log = structlog.get_logger(__name__)


def launch(settings: Settings) -> ExitCode:
    """Run a gated SuperLink until it is told to stop; return the exit code.

    Raises
    ------
    DataTokenError
        When it can't be started; nothing listens then.
    """
    configure_logging(dt=settings.dt)
    check_extra(settings.extra)
    lock = lock_state(settings.state)
    try:
        check_port(settings.host, settings.port)
        home = fresh_home(settings.state / "flwr")
        environment = app_environment(os.environ, home, settings.pass_env)
        environment["PATH"] = os.pathsep.join(
            [str(write_command(home / "bin")), environment["PATH"]]
        )
        spool = settings.state.resolve() / "spool"
        replace_environment(environment | {SPOOL_VARIABLE: str(spool)})
        return _run(settings)
    finally:
        os.close(lock)


def _run(settings: Settings) -> ExitCode:
    from fl_edge.superlink import seams
    from fl_edge.superlink.maker import MakerSide

    seams.check_server()
    seams.check_app()
    side = MakerSide.open(settings)
    hide_process()
    side.hooks.install()
    served = serve_monitor(side.monitor, settings.metrics_host, settings.metrics_port)
    side.courier.start()
    log.info("gate in place", host=settings.host, port=settings.port)
    with json_output():
        return _run_flwr(settings, side, served)


def _run_flwr(settings: Settings, side: "MakerSide", served: Callable[[], None]) -> ExitCode:
    from flwr.superlink.cli.flower_superlink import flower_superlink

    sys.argv = ["flower-superlink", *settings.flwr_arguments()]
    try:
        flower_superlink()
    except SystemExit as ended:
        if ended.code not in (None, 0):
            raise LocalEnvironmentError(
                "flwr's SuperLink could not be started; its own message is above.",
                "See: flower-superlink --help.",
            ) from None
    finally:
        served()
        side.courier.stop()
    return ExitCode.OK


def write_command(folder: Path) -> Path:
    """Write the ``flwr-serverapp`` that stands before flwr's own on PATH; return its folder.

    Raises
    ------
    LocalEnvironmentError
    """
    path = folder / "flwr-serverapp"
    # -P: the working folder is no source of modules, as it is not for flwr's own command.
    python = shlex.quote(sys.executable)
    text = f'#!/bin/sh\nexec {python} -P -m fl_edge.superlink.serverapp "$@"\n'
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.write_text(text, encoding="utf-8")
        path.chmod(0o700)
    except OSError as error:
        raise LocalEnvironmentError(f"{path} can't be written: {error.strerror}.") from None
    return folder


def check_extra(arguments: tuple[str, ...]) -> None:
    """Refuse arguments for flwr that would undo the gate's work.

    Raises
    ------
    BadInputError
    """
    for argument in arguments:
        name = argument.partition("=")[0]
        # argparse accepts abbreviations: --sim stands for --simulation.
        if len(name) > 2 and any(forbidden.startswith(name) for forbidden in FORBIDDEN):
            raise BadInputError(f"A governed SuperLink does not take {argument}.")
