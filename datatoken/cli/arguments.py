"""Arguments and options that several commands take, and how their texts are read."""

import re
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from datatoken.errors import BadInputError
from datatoken.types import Hex32, Scalar

_HEX32 = re.compile(r"^0x[0-9a-f]{64}$")
_SPAN = re.compile(r"^(\d{1,6})([smhdw])$")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}


def hex32(text: str) -> Hex32:
    """Read an id or a digest: 0x and 64 hex digits."""
    lowered = text.lower()
    if not _HEX32.match(lowered):
        raise typer.BadParameter(f"{text!r} is not 0x and 64 hex digits.")
    return lowered


Dt = Annotated[str, typer.Argument(parser=hex32, metavar="DT", help="The data token.")]
Child = Annotated[str, typer.Argument(parser=hex32, metavar="CHILD", help="Your own DT.")]
Parent = Annotated[
    str, typer.Argument(parser=hex32, metavar="PARENT", help="The DT that asks for it.")
]
JobId = Annotated[str, typer.Argument(parser=hex32, metavar="JOB", help="The job.")]
OperationId = Annotated[
    str, typer.Argument(parser=hex32, metavar="OPERATION", help="The operation's id.")
]


def moment(text: str | None, now: int) -> int:
    """Read a moment: Unix seconds, an ISO date, or a span from now (30d, 12h); 0 for none.

    Raises
    ------
    BadInputError
    """
    if text is None or text == "0":
        return 0
    if text.isdigit():
        return int(text)
    if span := _SPAN.match(text):
        return now + int(span[1]) * _SECONDS[span[2]]
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise BadInputError(
            f"{text!r} is no moment.",
            "Give Unix seconds, a date such as 2030-01-31, or a span such as 30d or 12h.",
        ) from None
    aware = found if found.tzinfo else found.replace(tzinfo=UTC)
    return int(aware.timestamp())


def scalar(text: str) -> Scalar:
    """Read a parameter's value as Flower's run-config does: TOML, else the text itself."""
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    if isinstance(value, (bool, int, float, str)):
        return value
    return text


def pairs(texts: list[str] | None) -> dict[str, Scalar]:
    """Read `key=value` options.

    Raises
    ------
    BadInputError
    """
    found: dict[str, Scalar] = {}
    for text in texts or []:
        name, separator, value = text.partition("=")
        if not separator or not name:
            raise BadInputError(f"{text!r} is not KEY=VALUE.")
        found[name] = scalar(value)
    return found


def read_bytes(path: Path, what: str, limit: int) -> bytes:
    """Read a file of bounded size.

    Raises
    ------
    BadInputError
        When it cannot be read or is too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except OSError as error:
        raise BadInputError(f"The {what} {path} cannot be read: {error.strerror}.") from error
    if len(content) > limit:
        raise BadInputError(f"The {what} {path} is larger than {limit} bytes.")
    return content


def write_text(path: Path | None, text: str) -> None:
    """Write a result to a file; nothing when no file is named.

    Raises
    ------
    BadInputError
    """
    if path is None:
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BadInputError(f"The file {path} cannot be written: {error.strerror}.") from error


def only(**named: Any) -> dict[str, Any]:
    """Return what was given: None is left out."""
    return {name: value for name, value in named.items() if value is not None}
