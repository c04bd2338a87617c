"""Private tables from real files and a real database."""

import csv
import sqlite3
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from datatoken.ddo.tables import TableSchema
from datatoken.errors import BadInputError, DataTokenError, LocalEnvironmentError
from rtt_tracer.tables import alignment, open_table, read_ids, write_ids

REQUEST = "0x" + "ab" * 32
NAMES = ("ID", "AGE", "LIMIT", "JOB")
ROWS: list[tuple[Any, ...]] = [
    ("30", 41, 1000.5, "clerk"),
    ("4", 25, 20000.0, "nurse"),
    ("100", 77, -3.25, "clerk"),
]
SCHEMA = TableSchema.model_validate(
    {
        "key": "ID",
        "columns": {
            "AGE": {"type": "int", "minimum": 18, "maximum": 120},
            "LIMIT": {"type": "float"},
            "JOB": {"type": "category", "categories": ["nurse", "clerk"]},
        },
    }
)
Rows = Sequence[Sequence[Any]]


def as_csv(folder: Path, rows: Rows, names: Sequence[str] = NAMES) -> dict[str, Any]:
    path = folder / "rows.csv"
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([names, *rows])
    return {"source": str(path)}


def as_parquet(folder: Path, rows: Rows, names: Sequence[str] = NAMES) -> dict[str, Any]:
    path = folder / "rows.parquet"
    columns = [list(column) for column in zip(*rows, strict=True)]
    pq.write_table(pa.table(columns, names=list(names)), path)
    return {"source": str(path)}


def as_database(folder: Path, rows: Rows, names: Sequence[str] = NAMES) -> dict[str, Any]:
    path = folder / "bank.sqlite"
    with sqlite3.connect(path) as connection:
        columns = ", ".join(f'"{name}"' for name in names)
        connection.execute(f"CREATE TABLE customers ({columns})")
        places = ", ".join("?" * len(names))
        connection.executemany(f"INSERT INTO customers VALUES ({places})", rows)
    connection.close()
    return {"source": f"sqlite:///{path}", "table": "customers"}


SOURCES = pytest.mark.parametrize("write", [as_csv, as_parquet, as_database])
Write = Callable[..., dict[str, Any]]


@SOURCES
def test_rows_are_sorted_by_key_whatever_their_order(tmp_path: Path, write: Write) -> None:
    """The same rows in another order, or from another kind of source, are the same table."""
    given = write(tmp_path, ROWS)
    found = open_table(**given, key="ID", schema=SCHEMA)
    (tmp_path / "other").mkdir()
    other = open_table(**write(tmp_path / "other", ROWS[::-1]), key="ID", schema=SCHEMA)

    assert found.ids.tolist() == other.ids.tolist() == ["100", "30", "4"]
    assert found.columns["AGE"].tolist() == [77, 41, 25]
    assert found.columns["AGE"].dtype == np.int64
    assert found.columns["LIMIT"].tolist() == [-3.25, 1000.5, 20000.0]
    assert found.columns["JOB"].tolist() == [1, 1, 0]
    assert found.alignment(REQUEST) == other.alignment(REQUEST)
    for name, values in found.columns.items():
        assert values.tolist() == other.columns[name].tolist()


def test_whole_numbers_as_ids_are_the_same_ids_as_texts(tmp_path: Path) -> None:
    """One bank keeps its key as a number, the other as a text with blanks."""
    numbers = as_parquet(tmp_path, [(int(row[0]), *row[1:]) for row in ROWS])
    texts = as_csv(tmp_path, [(f" {row[0]} ", *row[1:]) for row in ROWS])

    first, second = (open_table(**given, key="ID", schema=SCHEMA) for given in (numbers, texts))

    assert first.alignment(REQUEST) == second.alignment(REQUEST)


def test_query_of_a_database(tmp_path: Path) -> None:
    """The owner's own query may choose rows, rename and compute."""
    given = as_database(tmp_path, ROWS)
    query = "SELECT ID AS customer, AGE * 2 AS double FROM customers WHERE AGE > 30"

    found = open_table(given["source"], "customer", None, query=query)

    assert found.ids.tolist() == ["100", "30"]
    assert found.columns["double"].tolist() == [154, 82]


@SOURCES
def test_columns_that_are_not_declared_stay_at_home(tmp_path: Path, write: Write) -> None:
    """What the DDO does not name does not reach an operation."""
    given = write(tmp_path, [(*row, f"name {row[0]}") for row in ROWS], (*NAMES, "NAME"))

    found = open_table(**given, key="ID", schema=SCHEMA)

    assert set(found.columns) == {"AGE", "LIMIT", "JOB"}


@SOURCES
@pytest.mark.parametrize(
    ("row", "sentence"),
    [
        (("30", 55, 1.0, "clerk"), "ID: 1 ids come more than once"),
        ((None, 55, 1.0, "clerk"), "ID: 1 row without an id"),
        (("7\n8", 55, 1.0, "clerk"), "ID: 1 row with a control sign"),
        (("7", 17, 1.0, "clerk"), "AGE: 1 row below the minimum"),
        (("7", 7777, 1.0, "clerk"), "AGE: 1 row above the maximum"),
        (("7", None, 1.0, "clerk"), "AGE: 1 row without a value"),
        (("7", 55, 1.0, "mole77"), "JOB: 1 row of no known category"),
        (("7", 55, 1.0, None), "JOB: 1 row without a value"),
    ],
)
def test_rows_that_break_the_schema(
    tmp_path: Path, write: Write, row: Sequence[Any], sentence: str
) -> None:
    """Refused with column and count; never with the value, or whose it is."""
    given = write(tmp_path, [*ROWS, row])

    with pytest.raises(BadInputError) as refused:
        open_table(**given, key="ID", schema=SCHEMA)

    assert sentence in refused.value.message
    for value in ("7777", "mole77", "7\n8"):
        assert value not in refused.value.diagnostics()


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("4x7", "that are no number"),
        ("4.7", "that are no whole number"),
        ("nan", "that are no number"),
        ("inf", "that are no number"),
        ("0x47", "that are no number"),
        ("1_7", "that are no number"),
        ("9" * 30, "out of what a double can hold"),
    ],
)
def test_text_that_is_no_whole_number(tmp_path: Path, text: str, sentence: str) -> None:
    """Nothing is guessed."""
    given = as_csv(tmp_path, [("1", text, 1, "clerk"), ("2", 30, 1, "clerk")])

    with pytest.raises(BadInputError, match=f"AGE: 1 row {sentence}") as refused:
        open_table(**given, key="ID", schema=SCHEMA)

    assert text not in refused.value.diagnostics()


@pytest.mark.parametrize(
    ("text", "value"), [("1e+05", 100000), ("+7", 7), (" 12 ", 12), ("5.0", 5), ("-0", 0)]
)
def test_ways_to_write_a_whole_number(tmp_path: Path, text: str, value: int) -> None:
    """Exports write round numbers as 1e+05."""
    given = as_csv(tmp_path, [("1", text), ("2", "3")], ("ID", "N"))

    found = open_table(**given, key="ID", schema=None)

    assert found.columns["N"].tolist() == [value, 3]
    assert found.columns["N"].dtype == np.int64


def test_large_whole_numbers_are_exact(tmp_path: Path) -> None:
    """They do not pass through a double."""
    given = as_csv(tmp_path, [("1", str(2**53 + 1)), ("2", "3")], ("ID", "N"))

    assert open_table(**given, key="ID", schema=None).columns["N"][0] == 2**53 + 1


@SOURCES
@pytest.mark.parametrize(
    ("rule", "ids", "ages"),
    [
        ({"missing": "drop"}, ["100", "30", "4"], [77, 41, 25]),
        ({"missing": "fill", "fill": 40}, ["100", "30", "4", "7"], [77, 41, 25, 40]),
    ],
)
def test_missing_values_by_the_declared_rule(
    tmp_path: Path, write: Write, rule: dict[str, Any], ids: list[str], ages: list[int]
) -> None:
    """Drop the row, or fill the value."""
    plain = SCHEMA.model_dump(exclude_none=True)
    plain["columns"]["AGE"] |= rule
    given = write(tmp_path, [*ROWS, ("7", None, 1.0, "clerk")])

    found = open_table(**given, key="ID", schema=TableSchema.model_validate(plain))

    assert found.ids.tolist() == ids
    assert found.columns["AGE"].tolist() == ages


def test_many_problems_are_said_at_once_and_in_bounds(tmp_path: Path) -> None:
    """The owner corrects them in one go."""
    names = [f"C{i}" for i in range(9)]
    columns = {name: {"type": "int", "maximum": 5} for name in names}
    schema = TableSchema.model_validate({"key": "ID", "columns": columns})
    given = as_csv(tmp_path, [("1", *[9] * 9), ("2", *[9] * 9)], ("ID", *names))

    with pytest.raises(BadInputError, match=r"C0: 2 rows above the maximum; C1.*and 4 more"):
        open_table(**given, key="ID", schema=schema)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("ID,AGE\n1,secret77,3\n", "can't be read"),
        ("ID,AGE,AGE\n1,2,3\n", "two columns of the same name"),
        ("ID,YEARS\n1,2\n", "has no column AGE"),
        ("", "can't be read"),
        ("ID,AGE,LIMIT,JOB\n", "no rows"),
        ("ID,AGE,LIMIT,JOB\n1,\xff,2,secret77\n", "can't be read"),
    ],
)
def test_file_that_is_no_table(tmp_path: Path, content: str, sentence: str) -> None:
    """One sentence, without the row."""
    path = tmp_path / "rows.csv"
    path.write_bytes(content.encode("latin-1"))

    with pytest.raises(BadInputError) as refused:
        open_table(str(path), "ID", SCHEMA)

    assert sentence in refused.value.message
    assert "secret77" not in refused.value.diagnostics()


def test_source_that_is_not_there(tmp_path: Path) -> None:
    """A missing file stays missing: no empty database is made."""
    for source, more in (
        (str(tmp_path / "no.csv"), {}),
        (str(tmp_path / "no.parquet"), {}),
        (str(tmp_path / "no.xlsx"), {}),
        (f"sqlite:///{tmp_path}/no.sqlite", {"table": "customers"}),
    ):
        with pytest.raises(BadInputError):
            open_table(source, "ID", SCHEMA, **more)

    assert list(tmp_path.iterdir()) == []


def test_database_without_the_table_or_with_a_wrong_query(tmp_path: Path) -> None:
    """Neither the statement nor what is in it gets into an error."""
    given = as_database(tmp_path, ROWS)
    source = given["source"]

    with pytest.raises(BadInputError, match="no table clients"):
        open_table(source, "ID", SCHEMA, table="clients")
    with pytest.raises(BadInputError, match="one of the two"):
        open_table(source, "ID", SCHEMA)
    with pytest.raises(LocalEnvironmentError) as refused:
        open_table(source, "ID", SCHEMA, query="SELECT * FROM nowhere WHERE name = 'secret77'")
    assert "secret77" not in refused.value.diagnostics()


@pytest.mark.parametrize(
    "url", ["postgresql+nodriver://bank:hunter2@db/x", "nonsense://bank:hunter2@db/x"]
)
def test_password_of_a_database_is_in_no_error(url: str) -> None:
    """A URL that can't be used is not repeated."""
    with pytest.raises(DataTokenError) as refused:
        open_table(url, "ID", SCHEMA, table="customers")

    assert "hunter2" not in refused.value.diagnostics()


def test_table_name_is_a_name_and_no_statement(tmp_path: Path) -> None:
    """What stands in the settings as a table's name is quoted."""
    given = as_database(tmp_path, ROWS)

    with pytest.raises(BadInputError):
        open_table(given["source"], "ID", SCHEMA, table="customers; DROP TABLE customers")

    assert open_table(**given, key="ID", schema=SCHEMA).rows == 3


def test_alignment_is_one_of_order_ids_and_request() -> None:
    """Equal for equal ids in equal order under one request, and for nothing else."""
    ids = ["1", "23"]

    assert alignment(REQUEST, ids) == alignment(REQUEST, np.array(ids))
    others = [["23", "1"], ["12", "3"], ["1", "23", "4"], ["1"], ["1\n23"][:0]]
    assert len({alignment(REQUEST, ids), *(alignment(REQUEST, other) for other in others)}) == 6
    assert alignment("0x" + "cd" * 32, ids) != alignment(REQUEST, ids)


def test_rows_of_an_intersection(tmp_path: Path) -> None:
    """Two banks keep what they have in common, and are aligned."""
    first = as_csv(tmp_path, [(str(i), i, 1, "clerk") for i in range(20, 60)])
    second = as_parquet(tmp_path, [(str(i), i, 2.0, "nurse") for i in range(50, 90)][::-1])
    write_ids(tmp_path / "common", [str(i) for i in range(50, 60)])

    tables = [
        open_table(**given, key="ID", schema=SCHEMA, keep_ids=tmp_path / "common")
        for given in (first, second)
    ]

    assert [table.rows for table in tables] == [10, 10]
    assert tables[0].alignment(REQUEST) == tables[1].alignment(REQUEST)
    assert stat.S_IMODE((tmp_path / "common").stat().st_mode) == 0o600


def test_ids_to_keep_that_are_not_in_the_table(tmp_path: Path) -> None:
    """A table that has changed since the intersection is not aligned in silence."""
    given = as_csv(tmp_path, ROWS)
    write_ids(tmp_path / "common", ["4", "5", "6"])
    write_ids(tmp_path / "none", [])

    with pytest.raises(BadInputError, match="2 of 3 ids to keep are not in the table"):
        open_table(**given, key="ID", schema=SCHEMA, keep_ids=tmp_path / "common")
    with pytest.raises(BadInputError, match="is empty"):
        open_table(**given, key="ID", schema=SCHEMA, keep_ids=tmp_path / "none")
    with pytest.raises(BadInputError, match="No such file") as refused:
        open_table(**given, key="ID", schema=SCHEMA, keep_ids=tmp_path / "missing")
    assert "intersection first" in refused.value.hint
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")
    with pytest.raises(BadInputError, match="UTF-8"):
        read_ids(tmp_path / "bytes")


def test_operations_get_columns_without_ids(tmp_path: Path) -> None:
    """The file for the engine: any column name, no pickles, readable by its owner alone."""
    given = as_csv(tmp_path, [("4711", 3, 5), ("4712", 4, 6)], ("ID", "file", "a/b"))
    table = open_table(**given, key="ID", schema=None)
    path = tmp_path / "table.npz"

    table.write_npz(path)

    with np.load(path, allow_pickle=False) as archive:
        assert set(archive.files) == {"file", "a/b"}
        assert archive["file"].tolist() == [3, 4]
    assert b"4711" not in path.read_bytes()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    table.write_npz(path, ids=True)
    with np.load(path, allow_pickle=False) as archive:
        assert archive["ids"].tolist() == ["4711", "4712"]


def test_column_that_poses_as_the_ids(tmp_path: Path) -> None:
    """Members of the file are named once."""
    given = as_csv(tmp_path, [("1", 3)], ("ID", "ids"))
    table = open_table(**given, key="ID", schema=None)

    with pytest.raises(BadInputError, match="can't be called 'ids'"):
        table.write_npz(tmp_path / "table.npz", ids=True)
    table.write_npz(tmp_path / "table.npz")
