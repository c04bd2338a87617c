"""Rows from where their owner keeps them: a CSV or Parquet file, or a database.

Errors name files, columns and counts; never a value, and never a database's password.
"""

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from datatoken.errors import BadInputError, LocalEnvironmentError

MAX_ROWS = 50_000_000
FETCH = 10_000


def read_source(
    source: str, columns: list[str] | None, *, table: str | None = None, query: str | None = None
) -> pa.Table:
    """Read columns of a source as they stand there.

    Parameters
    ----------
    source : str
        A ``.csv`` or ``.parquet`` file, or an SQLAlchemy URL.
    columns : list of str, optional
        The columns wanted; None: all.
    table, query : str, optional
        What to read of a database: one of the two.

    Raises
    ------
    BadInputError
        When a column, file or table is missing or the content can't be read.
    LocalEnvironmentError
        When a database or its driver is out of reach.
    """
    if "://" in source:
        found = _database(source, columns, table, query)
    elif table is not None or query is not None:
        raise BadInputError("A table or query is given, but the source is a file.")
    else:
        found = _file(Path(source), columns)
    if found.num_rows > MAX_ROWS:
        raise BadInputError(f"The table has {found.num_rows} rows; {MAX_ROWS} are allowed.")
    return found


def _file(path: Path, columns: list[str] | None) -> pa.Table:
    readers = {".csv": _csv, ".parquet": _parquet, ".pq": _parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise BadInputError(
            f"{path.name} is neither .csv nor .parquet.", "Databases: an SQLAlchemy URL."
        )
    try:
        return reader(path, columns)
    except OSError as error:
        why = error.strerror or "it can't be read"
        raise BadInputError(f"The table {path}: {why}.", "See [table] source.") from None
    except pa.ArrowInvalid:  # its text shows the row
        raise BadInputError(
            f"The table {path.name} can't be read: rows of unequal length, or another format."
        ) from None


def _csv(path: Path, columns: list[str] | None) -> pa.Table:
    """Read a CSV file with a header (UTF-8); every value as text, empty ones as missing."""
    with pa.csv.open_csv(path) as reader:
        names = reader.schema.names
    wanted = _wanted(names, columns, path.name)
    return pa.csv.read_csv(
        path,
        convert_options=pa.csv.ConvertOptions(
            include_columns=wanted,
            column_types=dict.fromkeys(wanted, pa.string()),
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            null_values=[""],
        ),
    )


def _parquet(path: Path, columns: list[str] | None) -> pa.Table:
    with pa.parquet.ParquetFile(path) as file:
        return file.read(columns=_wanted(file.schema_arrow.names, columns, path.name))


def _wanted(names: list[str], columns: list[str] | None, where: str) -> list[str]:
    if len(set(names)) != len(names):
        raise BadInputError(f"{where} has two columns of the same name.")
    if missing := [name for name in columns or [] if name not in names]:
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise BadInputError(
            f"{where} has no column {missing[0]}{more}.",
            "See [table] key and the table schema in the DDO.",
        )
    return names if columns is None else columns


def _database(
    url: str, columns: list[str] | None, table: str | None, query: str | None
) -> pa.Table:
    if (table is None) == (query is None):
        raise BadInputError("A database needs a table or a query: one of the two.")
    engine, shown = _engine(url)
    try:
        with engine.connect() as connection:
            if query is not None:
                result = connection.execution_options(stream_results=True).execute(sa.text(query))
            else:
                assert table is not None
                result = connection.execute(_select(connection, table, columns))
            wanted = _wanted(list(result.keys()), columns, table or "The query's result")
            places = [list(result.keys()).index(name) for name in wanted]
            gathered: list[list[object]] = [[] for _ in wanted]
            for rows in result.partitions(FETCH):
                for values, place in zip(gathered, places, strict=True):
                    values.extend(row[place] for row in rows)
    except SQLAlchemyError as error:  # its text shows the statement and values
        raise LocalEnvironmentError(
            f"The database {shown} could not be read ({type(error).__name__}).",
            "Look at the URL, the query, and the account's rights.",
        ) from None
    finally:
        engine.dispose()
    arrays = [_array(name, values) for name, values in zip(wanted, gathered, strict=True)]
    return pa.table(arrays, names=wanted)


def _engine(url: str) -> tuple[sa.Engine, str]:
    try:
        parsed = sa.make_url(url)
        shown = parsed.render_as_string(hide_password=True)
        file = parsed.database if parsed.get_backend_name() == "sqlite" else None
        if file and not Path(file).is_file():  # SQLite would make an empty one
            raise BadInputError(f"There is no database {file}.")
        return sa.create_engine(parsed, hide_parameters=True), shown
    except (SQLAlchemyError, ImportError) as error:
        raise LocalEnvironmentError(
            f"The database's URL can't be used ({type(error).__name__}).",
            "Install its driver, or correct [table] source.",
        ) from None


def _select(
    connection: sa.Connection, table: str, columns: list[str] | None
) -> "sa.Select[tuple[object, ...]]":
    schema, _, name = table.rpartition(".")
    inspector = sa.inspect(connection)
    if not inspector.has_table(name, schema=schema or None):
        raise BadInputError(f"The database has no table {table}.", "See [table] table.")
    names = [str(column["name"]) for column in inspector.get_columns(name, schema or None)]
    wanted = _wanted(names, columns, table)
    found = sa.table(name, *map(sa.column, wanted), schema=schema or None)
    return sa.select(*(found.c[column] for column in wanted))


def _array(name: str, values: list[object]) -> pa.Array:
    """Return values of a database's driver as one Arrow column."""
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {int, bool}:
        kind = pa.int64()
    elif all(issubclass(kind, (int, float)) or kind.__name__ == "Decimal" for kind in kinds):
        kind, values = pa.float64(), [None if v is None else float(str(v)) for v in values]
    else:
        kind, values = pa.string(), [None if v is None else str(v) for v in values]
    try:
        return pa.array(values, kind)
    except (pa.ArrowInvalid, OverflowError):
        raise BadInputError(f"Column {name} has numbers beyond 64 bits.") from None
