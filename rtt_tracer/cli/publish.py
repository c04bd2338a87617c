"""``rtt-tracer publish``: MPC code becomes an operation, a user's own file unchanged."""

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from datatoken.authorization.reasons import Refused
from datatoken.cli.publishing import own_fields, register_operation, write_out
from datatoken.cli.session import Command, Session
from datatoken.errors import BadInputError, LocalEnvironmentError
from datatoken.text import clean
from datatoken.types import sha256_hex
from rtt_tracer.bundle import bundle_folder, bundle_function
from rtt_tracer.document import OperationSource, function_source, read_source, source_fields
from rtt_tracer.engines.base import Role
from rtt_tracer.party.engines import engine_of
from rtt_tracer.settings import EngineSettings
from rtt_tracer.shipped import operation_folder

HELP = """Make an operation of MPC code: of a shipped one, of your own, of a script as it stands.

SOURCE is

- the name of a shipped operation, such as ``secret_sharing`` or ``logistic_regression``;

- a folder with ``operation.json`` and Python modules;

- ``model.py:f``: one JAX function of your own file, with arguments named x0, x1, y1 after the
  input parties; the file stays as it is;

- ``script.py``: a Rosetta script, as it stands.

A JAX function computes in fixed point, with 18 bits behind the binary point unless the request
says ``-p field=FM128 -p fraction-bits=40``. A mean of many rows needs that: code whose constants
18 bits can't hold is refused. Two more things of SPU 0.9.5's are not noticed: square roots of
numbers above 131,072 come out as 0 (means stay below where sums do not), and under SECURENN
comparisons of more than 60,000 numbers at once go wrong.

Nothing of the code is run. Its parameters with their bounds, what it reveals to whom, and the
exact versions of the engine that it needs become its operation document, which is shown. The
administrator (``--keystore``) registers it; anybody else gets two files to send. Repeating it is
safe: the same code is the same operation.

**Examples**

    rtt-tracer publish logistic_regression --keystore administrator

    rtt-tracer publish ./model.py:joint_score --dry-run

    rtt-tracer publish ./rosetta_mean.py --out ./for-the-administrator

**Exit codes**: 0 done, 2 usage, 3 bad input, 4 refused (not the administrator), 5 chain out of
reach, 7 key or password, 8 engine missing or folder not writable, 9 the transaction failed.
"""


def publish(
    source: Annotated[
        str,
        typer.Argument(
            metavar="SOURCE", help="A shipped operation, a folder, model.py:function or script.py."
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(help="Write bundle and document here, for the administrator."),
    ] = None,
    document: Annotated[
        Path | None,
        typer.Option(help="JSON: fields of the operation document that replace derived ones."),
    ] = None,
    python: Annotated[
        Path | None,
        typer.Option(
            help="The engine's interpreter (.engines/spu/bin/python or .engines/rosetta/…): "
            "the operation is locked to what it has installed."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show digest and document; write nothing anywhere.")
    ] = False,
) -> None:
    """Make an operation of MPC code."""
    session = Session.current()
    bundle, described = describe(source)
    fields = fields_of(described, python) | own_fields(document)
    if dry_run:
        digest = sha256_hex(bundle)
        text = clean(json.dumps(fields, indent=2, ensure_ascii=False))
        session.output.result(
            {"digest": digest, "size": len(bundle), "document": fields, "dry_run": True},
            Text(f"{text}\nBundle {digest}, {len(bundle)} bytes. Nothing was written."),
        )
    elif out is not None:
        write_out(session.output, out, bundle, fields)
    else:
        register_operation(session, bundle, fields)


def describe(source: str) -> tuple[bytes, OperationSource]:
    """Return the bundle of what a user names, and what it says of itself.

    Raises
    ------
    BadInputError
    """
    file, colon, function = source.rpartition(":")
    if colon and file.endswith(".py"):
        path = _file(file)
        return bundle_function(path, function), function_source(path, function)
    if source.endswith(".py"):
        script = _file(source)
        from rtt_tracer.engines.rosetta.source import bundle_script, script_source

        return bundle_script(script), script_source(script)
    folder = operation_folder(source)
    return bundle_folder(folder), read_source(folder.resolve())


def fields_of(source: OperationSource, python: Path | None = None) -> dict[str, Any]:
    """Return the document's fields, locked to what the engine has installed.

    Raises
    ------
    BadInputError
        When a parameter has no default, or a dependency is not installed in the engine.
    LocalEnvironmentError
        When the engine is not there.
    """
    settings = EngineSettings()
    if python is not None:
        own = "rosetta" if source.role is Role.ROSETTA else "spu"
        settings = settings.model_copy(update={own: str(python)})
    try:
        engine = engine_of(source.role, settings)
    except Refused as refused:
        raise LocalEnvironmentError(
            refused.message, "An operation is locked to the engine's versions: it must be there."
        ) from None
    return source_fields(source, engine.installed())


def _file(path: str) -> Path:
    if not Path(path).is_file():
        raise BadInputError(f"There is no file {path}.")
    return Path(path)


def register(app: typer.Typer) -> None:
    """Add the command to ``rtt-tracer``."""
    app.command("publish", help=HELP, cls=Command)(publish)
