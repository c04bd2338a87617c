"""``fl-edge publish``: an unchanged Flower app, or a folder of operation code, as an operation."""

from pathlib import Path
from typing import Annotated, Any

import click
import typer

from datatoken.cli.publishing import own_fields, register_operation, write_out
from datatoken.cli.session import Command, Session
from datatoken.errors import BadInputError
from datatoken.types import MessageKind
from fl_edge.fab import bundle_folder, read_fab, read_source
from fl_edge.fab.bundle import SOURCE
from fl_edge.fab.document import app_fields, source_fields
from fl_edge.fab.shipped import operation_folder

HELP = """Make an operation of a Flower app that knows nothing of this, or of operation code.

DIR is an app (with ``pyproject.toml``), a folder of operation code (with ``operation.json``), or
the name of a shipped operation: on devices ``edgecomp_numpy``, ``edgecomp_keras``,
``edgecomp_cnn``; on the server ``fedaverage``, ``fedaverage_dp``, ``fedprox``, ``fedadam``,
``fedyogi``, ``krum``, ``trimmed_mean``. Each has a card in the documentation.

The app is built by Flower's own builder. What it may be asked (parameters, with their types),
what it answers, and the exact versions of its dependencies become its operation document, which
is shown. The administrator (``--keystore``) registers it; anybody else gets two files to send.

**Examples**

    fl-edge publish ./my-flower-app --out ./for-the-administrator

    fl-edge publish edgecomp_numpy --keystore administrator

    fl-edge publish krum --keystore administrator

    fl-edge publish ./my-flower-app --message query --keystore administrator

**Exit codes**: 0 done, 2 usage, 3 bad input, 4 refused (not the administrator), 5 chain out of
reach, 7 key or password, 8 folder not writable, 9 the transaction failed.
"""


def publish(
    source: Annotated[
        str,
        typer.Argument(
            metavar="DIR", help="A Flower app, a folder of operation code, or a shipped operation."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write bundle and document here, for the administrator."),
    ] = None,
    message: Annotated[
        list[MessageKind] | None,
        typer.Option(help="Kinds an app answers (train and evaluate); may be repeated."),
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option(help="JSON: fields of the operation document that replace derived ones."),
    ] = None,
) -> None:
    """Make an operation of a Flower app or of operation code."""
    session = Session.current()
    bundle, fields = describe(operation_folder(source), message)
    fields |= own_fields(document)
    if out is not None:
        suffix = "fab" if fields["kind"] == "app" else "zip"
        write_out(session.output, out, bundle, fields, suffix)
    else:
        register_operation(session, bundle, fields)


def describe(folder: Path, messages: list[MessageKind] | None) -> tuple[bytes, dict[str, Any]]:
    """Return the bundle of a folder and the fields of its document.

    Raises
    ------
    BadInputError
    """
    if (folder / SOURCE).is_file():
        if messages:
            raise BadInputError(f"The messages of operation code stand in its {SOURCE}.")
        return bundle_folder(folder), source_fields(read_source(folder))
    if (folder / "pyproject.toml").is_file():
        fab = build_app(folder)
        kinds = tuple(messages or (MessageKind.TRAIN, MessageKind.EVALUATE))
        return fab, app_fields(fab, kinds)
    raise BadInputError(
        f"{folder} holds neither pyproject.toml nor {SOURCE}.",
        "Name the folder of a Flower app, or of operation code.",
    )


def build_app(folder: Path) -> bytes:
    """Return the FAB of an app as flwr's own builder makes it.

    Raises
    ------
    BadInputError
        When flwr refuses the app, or its FAB is not in plain form.
    """
    from flwr.cli.build import build_fab_from_disk

    try:
        fab = build_fab_from_disk(folder.resolve())
    except (ValueError, OSError, click.ClickException) as error:
        raise BadInputError(
            f"Flower can't build {folder}: {' '.join(str(error).split())}"
        ) from None
    read_fab(fab)
    return fab


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("publish", help=HELP, cls=Command)(publish)
