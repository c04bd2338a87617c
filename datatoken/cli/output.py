"""What commands print: results on stdout, everything else on stderr."""

import dataclasses
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any, TextIO

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

from datatoken.cli.settings import Format
from datatoken.text import clean


def plain(value: Any) -> Any:
    """Return a value as JSON can carry it: models, dataclasses and enums by their names."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", exclude_none=True)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, IntEnum):
        return value.name.lower()
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value


WIDTH = 200
"""Columns at least: an id that is cut or folded cannot be copied; the terminal wraps it."""


def _console(file: TextIO) -> Console:
    found = Console(file=file, highlight=False, soft_wrap=True)
    return Console(file=file, highlight=False, soft_wrap=True, width=max(found.width, WIDTH))


class Output:
    """Prints one command's result, as text or as one JSON object.

    Parameters
    ----------
    format : Format
    """

    def __init__(self, format: Format) -> None:
        self.format = format
        self.console = _console(sys.stdout)
        self.errors = _console(sys.stderr)

    @property
    def json(self) -> bool:
        """Tell whether the result is printed as JSON."""
        return self.format is Format.JSON

    def result(self, value: Any, *shown: RenderableType) -> None:
        """Print a result: `value` as JSON, or what is `shown` to people."""
        if self.json:
            sys.stdout.write(json.dumps(plain(value), indent=2) + "\n")
            sys.stdout.flush()
            return
        for item in shown:
            self.console.print(Text(clean(item)) if isinstance(item, str) else item)

    def note(self, text: str) -> None:
        """Print a remark on stderr."""
        self.errors.print(Text(clean(text), style="dim"))

    @contextmanager
    def progress(self, text: str) -> Iterator[None]:
        """Show on stderr that something is going on, where stderr is a terminal."""
        if self.errors.is_terminal and not self.json:
            with self.errors.status(Text(clean(text))):
                yield
        else:
            yield


def table(*columns: str) -> Table:
    """Return an empty table in the project's look; ids are never cut."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column in columns:
        made.add_column(column, overflow="fold")
    return made


def row(into: Table, *cells: object) -> None:
    """Add a row of cleaned cells."""
    into.add_row(*(Text(_shown(cell)) for cell in cells))


def facts(pairs: Mapping[str, object]) -> Table:
    """Return names and values, one pair a line."""
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(style="bold", no_wrap=True)
    made.add_column(overflow="fold")
    for name, value in pairs.items():
        made.add_row(Text(name), Text(_shown(value)))
    return made


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else clean(str(value))
