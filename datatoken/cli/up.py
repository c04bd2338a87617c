"""``datatoken up``, ``down`` and ``status``: the local stack."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer
from rich.console import RenderableType

from datatoken.chain.anvil import Anvil
from datatoken.cli import stack
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Session
from datatoken.errors import LocalEnvironmentError


def up(
    port: Annotated[
        int, typer.Option(help="Port of the chain; 0 takes any free one.")
    ] = stack.DEFAULT_PORT,
    users: Annotated[int, typer.Option(min=0, max=200, help="Accounts for end users.")] = 4,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Return; stop by `down`.")] = False,
) -> None:
    """Start a local stack: a chain, the contracts, a store, and funded accounts.

    The chain is anvil with a block every second; its state is kept in the folder, so that it
    is there again after a stop or a crash. Keystores of the accounts `administrator`, `a`,
    `b`, `c`, `recorder` and `user-1`… are in the folder's `keys`, their password in
    `keys/password`: for trying out only. Repeating the command is safe.

    **Examples**

        datatoken up --detach

        datatoken status

        datatoken --help
    """
    session = Session.current()
    with _stopped_like_ctrl_c():
        with session.output.progress("Starting the local stack …"):
            started, anvil = stack.start(session.settings.folder, port, users)
        found = stack.describe(session.settings.folder)
        session.output.result(found, *_shown(found))
        if anvil is None:
            session.output.note(f"It was running already (process {started.pid}).")
        elif not detach:
            _wait(session, anvil)


def down() -> None:
    """Stop the local stack; its chain, keys and store are kept.

    **Example**

        datatoken down
    """
    session = Session.current()
    with session.output.progress("Stopping the local stack …"):
        stopped = stack.stop(session.settings.folder)
    session.output.result(
        {"stopped": stopped}, "Stopped." if stopped else "The local stack was not running."
    )


def status() -> None:
    """Show whether the local stack runs, where, and with which accounts.

    **Example**

        datatoken status --format json
    """
    session = Session.current()
    found = stack.describe(session.settings.folder)
    session.output.result(found, *_shown(found))


def _shown(found: dict[str, object]) -> list[RenderableType]:
    named = {name: value for name, value in found.items() if name != "accounts"}
    accounts = table("account", "address")
    listed = found["accounts"]
    assert isinstance(listed, dict)
    for name, address in listed.items():
        row(accounts, name, address)
    return [facts(named), "", accounts]


@contextmanager
def _stopped_like_ctrl_c() -> Iterator[None]:
    """Let a service manager's SIGTERM end the chain as Ctrl-C does, at any moment."""
    earlier = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, earlier)


def _wait(session: Session, anvil: Anvil) -> None:
    """Wait until a signal stops us, then stop the chain; complain when it ends by itself."""
    try:
        session.output.note("Stop it with Ctrl-C.")
        while anvil.running:
            time.sleep(0.2)
    except KeyboardInterrupt:
        return
    finally:
        anvil.stop()
    raise LocalEnvironmentError(
        "The local chain ended by itself.", f"Its output is in {anvil.log}."
    )
