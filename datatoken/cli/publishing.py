"""What the engines' ``publish`` commands share: a bundle and a document become an operation."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.panel import Panel
from rich.text import Text

from datatoken.cli.output import Output
from datatoken.cli.session import Session
from datatoken.ddo.operation import OperationDocument
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.roles import Administrator, complete_document, operation_id
from datatoken.text import clean
from datatoken.types import sha256_hex


def own_fields(path: Path | None) -> dict[str, Any]:
    """Return the fields of a person's own JSON file; none where there is no file.

    Raises
    ------
    BadInputError
    """
    if path is None:
        return {}
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise BadInputError(f"{path} can't be read: {error}.") from None
    if not isinstance(plain, dict):
        raise BadInputError(f"{path} is no JSON object.")
    return plain


def register_operation(session: Session, bundle: bytes, fields: Mapping[str, Any]) -> None:
    """Show the document, register it as the administrator, and print the operation's id."""
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


def write_out(
    output: Output, out: Path, bundle: bytes, fields: Mapping[str, Any], suffix: str = "zip"
) -> None:
    """Write bundle and document for the administrator, and print the bundle's digest.

    Raises
    ------
    LocalEnvironmentError
        When the folder is not writable.
    """
    name = str(fields["name"]).lower()
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
