"""``datatoken op``: trusted operations."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken.chain.events import OperationRegistered
from datatoken.cli.arguments import OperationId, read_bytes
from datatoken.cli.output import facts, row, table
from datatoken.cli.session import Command, Session
from datatoken.ddo.canonical import parse_json
from datatoken.ddo.operation import MAX_OPERATION_BYTES
from datatoken.errors import BadInputError
from datatoken.roles.administrator import Administrator, complete_document
from datatoken.store import cid_of
from datatoken.types import OperationKind

app = typer.Typer(help="Trusted operations: registered code.", no_args_is_help=True)
MAX_BUNDLE = 1024 * 1024


@app.command(cls=Command)
def register(
    bundle: Annotated[Path, typer.Argument(help="The bundle: the exact bytes of the code.")],
    document: Annotated[
        Path, typer.Argument(help="JSON: name, kind, entry_points, parameters, messages, …")
    ],
) -> None:
    """Register an operation (administrator only).

    The bundle and the document go into the store, their digests on the chain. The fields
    bundle, cid, size and publisher of the document are filled in. Repeating is safe.

    **Example**

        datatoken op register edgecomp.zip edgecomp.json --keystore administrator
    """
    session = Session.current()
    content = read_bytes(bundle, "bundle", MAX_BUNDLE)
    text = read_bytes(document, "operation document", MAX_OPERATION_BYTES)
    fields = parse_json(text, "operation document", MAX_OPERATION_BYTES)
    if not isinstance(fields, dict):
        raise BadInputError("The operation document is not a JSON object.")
    administrator = session.role(Administrator)
    full = complete_document(content, administrator.address, fields)
    with session.output.progress("Registering …"):
        id_ = administrator.register_operation(content, full)
    session.output.result(
        {"operation": id_, "bundle": full.bundle, "metadata": full.digest(), "cid": full.cid},
        facts({"operation": id_, "bundle": full.bundle, "cid": full.cid}),
    )


@app.command(cls=Command)
def retire(operation: OperationId) -> None:
    """Retire an operation for good (administrator only): nobody runs it any more.

    **Example**

        datatoken op retire 0x… --keystore administrator
    """
    session = Session.current()
    with session.output.progress("Retiring …"):
        done = session.role(Administrator).retire_operation(operation)
    text = "Retired." if done else "It was retired already."
    session.output.result({"operation": operation, "retired": True, "now": done}, text)


@app.command(cls=Command)
def show(operation: OperationId) -> None:
    """Show an operation's record and document.

    **Example**

        datatoken op show 0x… --format json
    """
    session = Session.current()
    found = session.site.documents.operation(operation)
    document, record = found.document, found.record
    session.output.result(
        {"operation": operation, "record": record, "document": document},
        facts(
            {
                "operation": operation,
                "name": document.name,
                "description": document.description,
                "kind": document.kind,
                "retired": record.retired,
                "bundle": document.bundle,
                "cid": document.cid,
                "size": f"{document.size} bytes",
                "publisher": document.publisher,
                "answers": ", ".join(document.messages) or "-",
                "parameters": ", ".join(document.parameters) or "-",
                "reveals": "; ".join(f"{r.what} to {r.to}" for r in document.reveals) or "-",
            }
        ),
    )


@app.command("list", cls=Command)
def list_operations(
    all_: Annotated[bool, typer.Option("--all", help="Retired ones as well.")] = False,
) -> None:
    """List the registered operations.

    **Example**

        datatoken op list
    """
    session = Session.current()
    shown = table("operation", "name", "kind", "retired", "bundle (CID)")
    found = []
    for event in session.site.events.history(OperationRegistered):
        if not isinstance(event, OperationRegistered):
            continue
        record = session.site.contracts.operations.operation(event.id)
        if record.retired and not all_:
            continue
        kind = OperationKind(record.kind).name.lower()
        found.append(
            {
                "operation": event.id,
                "name": event.name,
                "kind": kind,
                "retired": record.retired,
                "bundle": record.bundle,
            }
        )
        row(shown, event.id, event.name, kind, record.retired, cid_of(record.bundle))
    session.output.result(found, shown)
