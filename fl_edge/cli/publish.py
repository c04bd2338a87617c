"""``fl-edge publish``: an unchanged Flower app, or a folder of operation code, as an operation."""

import json
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from rich.panel import Panel
from rich.text import Text

from datatoken.cli.output import Output
from datatoken.cli.session import Command, Session
from datatoken.ddo.operation import OperationDocument
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.roles import Administrator, complete_document, operation_id
from datatoken.text import clean
from datatoken.types import MessageKind, sha256_hex
from fl_edge.fab import bundle_folder, read_fab, read_source
from fl_edge.fab.bundle import SOURCE
from fl_edge.fab.document import app_fields, source_fields
from fl_edge.fab.shipped import operation_folder

HELP = """Make an operation of a Flower app that knows nothing of this, or of operation code.

DIR is an app (with ``pyproject.toml``), a folder of operation code (with ``operation.json``), or
the name of a shipped operation, such as ``edgecomp_numpy`` or ``fedaverage``.
The app is built by Flower's own builder. What it may be asked (parameters, with their types),
what it answers, and the exact versions of its dependencies become its operation document, which
is shown. The administrator (``--keystore``) registers it; anybody else gets two files to send.

**Examples**

    fl-edge publish ./my-flower-app --out ./for-the-administrator

    fl-edge publish edgecomp_numpy --keystore administrator

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
    fields |= _own_fields(document)
    if out is not None:
        write_out(session.output, out, bundle, fields)
        return
    administrator = session.role(Administrator)
    full = complete_document(bundle, administrator.address, fields)
    session.output.errors.print(shown(full))
    with session.output.progress("Registering …"):
        id_ = administrator.register_operation(bundle, full)
    assert id_ == operation_id(session.site.network, full)
    session.output.result(
        {"operation": id_, "bundle": full.bundle, "metadata": full.digest(), "cid": full.cid},
        id_,
    )


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


def write_out(output: Output, out: Path, bundle: bytes, fields: dict[str, Any]) -> None:
    """Write bundle and document for the administrator, and the bundle's digest.

    Raises
    ------
    LocalEnvironmentError
        When the folder is not writable.
    """
    name = str(fields["name"]).lower()
    suffix = "fab" if fields["kind"] == "app" else "zip"
    files = {
        out / f"{name}.{suffix}": bundle,
        out / f"{name}.json": (json.dumps(fields, indent=2) + "\n").encode(),
    }
    try:
        out.mkdir(parents=True, exist_ok=True)
        for path, content in files.items():
            path.write_bytes(content)
    except OSError as error:
        raise LocalEnvironmentError(f"{out} can't be written: {error.strerror}.") from None
    first, second = files
    command = f"datatoken op register {first} {second}"
    output.result(
        {"bundle": str(first), "document": str(second), "digest": sha256_hex(bundle)},
        f"Wrote {first} and {second}.\nThe administrator registers it: {command}",
    )


def shown(document: OperationDocument) -> Panel:
    """Return a document for people to read."""
    plain = document.model_dump(mode="json", exclude_none=True, exclude_defaults=True)
    text = clean(json.dumps(plain, indent=2, ensure_ascii=False))
    return Panel(Text(text), title=f"Operation {clean(document.name)}", expand=False)


def _own_fields(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} can't be read: {error}.") from None
    if not isinstance(plain, dict):
        raise BadInputError(f"{path} is no JSON object.")
    return plain


def register(app: typer.Typer) -> None:
    """Add the command to ``fl-edge``."""
    app.command("publish", help=HELP, cls=Command)(publish)
