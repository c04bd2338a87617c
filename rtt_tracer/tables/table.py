"""A private table: ids that stay at home and columns that an operation gets."""

import hashlib
import os
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datatoken.ddo.tables import TableSchema
from datatoken.errors import BadInputError
from datatoken.types import Hex32
from rtt_tracer.tables.conform import conform, inferred
from rtt_tracer.tables.sources import read_source

ALIGNMENT_DOMAIN = b"datatoken/alignment/1\0"
MAX_IDS_BYTES = 1 << 30
IDS_MEMBER, SCHEMA_MEMBER = "ids", "__schema__"
"""Of the `.npz` file that an operation reads: the schema's JSON as uint8."""


@dataclass(frozen=True, eq=False)
class PrivateTable:
    """Rows of one owner, sorted by id.

    Attributes
    ----------
    ids : ndarray of str, shape (rows,)
        They are no column: an operation gets them only where it is made for them.
    columns : mapping of str to ndarray, shape (rows,)
        int64 or float64; a text category by its place in the schema's `categories`.
    schema : TableSchema, optional
        What the DDO declares: public, and given to operations beside the columns.
    """

    ids: np.ndarray = field(repr=False)
    columns: Mapping[str, np.ndarray] = field(repr=False)
    schema: TableSchema | None = None

    @property
    def rows(self) -> int:
        """How many."""
        return len(self.ids)

    def alignment(self, request: Hex32) -> Hex32:
        """Return the digest that is equal where the same ids stand in the same order."""
        return alignment(request, self.ids)

    def keep(self, ids: Iterable[str]) -> "PrivateTable":
        """Return the rows of `ids` alone: those that an intersection has found.

        Raises
        ------
        BadInputError
            When some of them are not in the table.
        """
        wanted = np.unique(np.asarray(list(ids), dtype=np.str_))
        if not len(wanted):
            raise BadInputError("The list of ids to keep is empty: no rows are in common.")
        here = np.isin(self.ids, wanted)
        if (absent := len(wanted) - int(here.sum())) > 0:
            raise BadInputError(
                f"{absent} of {len(wanted)} ids to keep are not in the table.",
                "Run the intersection again: the table has changed since.",
            )
        return PrivateTable(
            self.ids[here],
            {name: values[here] for name, values in self.columns.items()},
            self.schema,
        )

    def write_npz(self, path: Path, *, ids: bool = False) -> None:
        """Write columns and schema for an operation, readable by their owner alone.

        Parameters
        ----------
        ids : bool
            Whether the ids go along, as member ``ids``: for an intersection only.

        Raises
        ------
        BadInputError
            When a column has the name of another member.
        """
        members = dict(self.columns)
        if taken := {SCHEMA_MEMBER, *([IDS_MEMBER] if ids else [])} & members.keys():
            raise BadInputError(f"A column can't be called {min(taken)!r} here.")
        if ids:
            members[IDS_MEMBER] = self.ids
        if self.schema is not None:
            text = self.schema.model_dump_json(exclude_none=True).encode()
            members[SCHEMA_MEMBER] = np.frombuffer(text, np.uint8)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file, zipfile.ZipFile(file, "w") as archive:
            for name, values in members.items():  # np.savez can't take every name
                with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                    np.lib.format.write_array(entry, values, allow_pickle=False)


def open_table(
    source: str,
    key: str,
    schema: TableSchema | None,
    *,
    table: str | None = None,
    query: str | None = None,
    keep_ids: Path | None = None,
) -> PrivateTable:
    """Read, check and sort the owner's rows.

    Parameters
    ----------
    source : str
        A CSV or Parquet file, or an SQLAlchemy URL (with `table` or `query`).
    key : str
        The source's column of ids.
    schema : TableSchema, optional
        What the DDO declares; None: every column beside the key, all of them numbers.
    keep_ids : Path, optional
        The rows that take part: one id a line.

    Raises
    ------
    BadInputError
        One sentence with row counts, never a value.
    LocalEnvironmentError
        When a database is out of reach.
    """
    wanted = None if schema is None else [key, *schema.columns]
    raw = read_source(source, wanted, table=table, query=query)
    if key not in raw.column_names:
        raise BadInputError(f"The table has no column {key}.", "See [table] key.")
    ids, columns = conform(raw, key, inferred(raw, key) if schema is None else schema)
    found = PrivateTable(ids, columns, schema)
    return found if keep_ids is None else found.keep(read_ids(keep_ids))


def alignment(request: Hex32, ids: Iterable[str]) -> Hex32:
    """Return sha256(domain ‖ request digest ‖ ids in order, one a line)."""
    digest = hashlib.sha256(ALIGNMENT_DOMAIN + bytes.fromhex(request[2:]))
    for identity in ids:
        digest.update(str(identity).encode() + b"\n")
    return "0x" + digest.hexdigest()


def read_ids(path: Path) -> list[str]:
    """Read a file of ids, one a line.

    Raises
    ------
    BadInputError
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_IDS_BYTES + 1)
        if len(content) > MAX_IDS_BYTES:
            raise BadInputError(f"The file of ids {path} is too large.")
        return [line.strip() for line in content.decode().split("\n") if line.strip()]
    except OSError as error:
        raise BadInputError(
            f"The file of ids {path}: {error.strerror}.", "Run an intersection first."
        ) from None
    except UnicodeDecodeError:
        raise BadInputError(f"The file of ids {path} is not UTF-8 text.") from None


def write_ids(path: Path, ids: Iterable[str]) -> None:
    """Write a file of ids, one a line, readable by its owner alone; replaced as a whole."""
    beside = path.with_name(path.name + ".new")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.writelines(f"{identity}\n" for identity in ids)
    beside.replace(path)
