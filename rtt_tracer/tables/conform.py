"""Does a table keep its schema? Pure: Arrow columns in, NumPy columns or one sentence out.

What is wrong is said in names and row counts; a value is never shown.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from datatoken.ddo.tables import ColumnSpec, TableSchema
from datatoken.errors import BadInputError

INTEGER = r"^-?[0-9]{1,18}$"
NUMBER = r"^\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,3})?\s*$"
MAX_ID = 256
SHOWN = 5


@dataclass
class Problems:
    """What is wrong with a table, gathered to be said at once."""

    found: list[str]

    def count(self, column: str, wrong: pa.Array, what: str) -> None:
        """Note how many rows of a column are `wrong`."""
        if rows := pc.sum(pc.fill_null(wrong, False)).as_py():
            self.found.append(f"{column}: {rows} {'row' if rows == 1 else 'rows'} {what}")

    def report(self) -> None:
        """Raise `BadInputError` when there are any."""
        if self.found:
            more = len(self.found) - SHOWN
            text = "; ".join(self.found[:SHOWN]) + (f"; and {more} more" if more > 0 else "")
            raise BadInputError(
                f"The table does not keep its schema: {text}.",
                "Correct the rows, or declare a missing-value rule in the schema.",
            )


def inferred(table: pa.Table, key: str) -> TableSchema:
    """Return the schema of a table whose owner declared none: whole or real numbers, no gaps."""
    columns = {
        name: ColumnSpec(type="int" if _whole(table[name]) else "float")
        for name in table.column_names
        if name != key
    }
    if not columns:
        raise BadInputError("The table has no column beside its key.")
    return TableSchema(key=key, columns=columns)


def _whole(column: pa.ChunkedArray) -> bool:
    if pa.types.is_string(column.type):
        good = pc.match_substring_regex(column, NUMBER)
        if not pc.all(good).as_py():
            return False
        column = pc.utf8_trim_whitespace(column).cast(pa.float64())
    if pa.types.is_floating(column.type):
        return bool(pc.all(pc.equal(column, pc.trunc(column))).as_py())
    return bool(pa.types.is_integer(column.type) or pa.types.is_boolean(column.type))


def conform(
    table: pa.Table, key: str, schema: TableSchema
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Return (ids, columns), sorted by id.

    Raises
    ------
    BadInputError
        When ids are missing or not unique, or a value is missing, of the wrong type, out of
        range or of no known category.
    """
    problems = Problems([])
    keep = np.ones(table.num_rows, dtype=bool)
    columns = {}
    ids = _ids(table[key].combine_chunks(), key, problems)
    for name, spec in schema.columns.items():
        raw = table[name].combine_chunks()
        values, missing = _column(name, raw, spec, problems)
        if spec.missing == "drop":
            keep &= ~missing
        columns[name] = values
    problems.report()
    order = np.flatnonzero(keep)
    order = order[np.argsort(ids[order], kind="stable")]
    if not len(order):
        raise BadInputError("The table has no rows.")
    return ids[order], {name: values[order] for name, values in columns.items()}


def _ids(column: pa.Array, key: str, problems: Problems) -> np.ndarray:
    kind = column.type
    if not (
        pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)
    ):
        raise BadInputError(f"The key {key} is {kind}; ids are whole numbers or texts.")
    text = pc.utf8_trim_whitespace(column.cast(pa.string()))
    problems.count(key, pc.or_kleene(pc.is_null(text), pc.equal(text, "")), "without an id")
    problems.count(key, pc.match_substring_regex(text, r"[\x00-\x1f\x7f]"), "with a control sign")
    problems.count(key, pc.greater(pc.utf8_length(text), MAX_ID), f"with an id above {MAX_ID}")
    text = pc.fill_null(text, "")
    twice = pc.greater(pc.struct_field(pc.value_counts(text), 1), 1)
    if repeated := pc.sum(twice).as_py():
        problems.found.append(f"{key}: {repeated} ids come more than once")
    return np.asarray(text.to_numpy(zero_copy_only=False), dtype=np.str_)


def _column(
    name: str, raw: pa.Array, spec: ColumnSpec, problems: Problems
) -> tuple[np.ndarray, np.ndarray]:
    """Return a column's values and where they are missing (0 there, or the fill value)."""
    if pa.types.is_floating(raw.type):
        raw = pc.if_else(pc.is_nan(raw), None, raw)
    if pa.types.is_large_string(raw.type) or pa.types.is_dictionary(raw.type):
        raw = raw.cast(pa.string())
    missing = np.asarray(pc.is_null(raw).to_numpy(zero_copy_only=False), dtype=bool)
    if spec.missing == "refuse":
        problems.count(name, pc.is_null(raw), "without a value")
    if spec.categories is not None:
        values = _categories(name, raw, spec.categories, problems)
    else:
        values = _numbers(name, raw, spec, problems)
    if spec.fill is not None:
        fill = spec.fill
        if spec.categories is not None and isinstance(fill, str):
            fill = spec.categories.index(fill)
        values[missing] = fill
    return values, missing


def _numbers(name: str, raw: pa.Array, spec: ColumnSpec, problems: Problems) -> np.ndarray:
    whole = spec.type == "int"
    if pa.types.is_string(raw.type):
        good = pc.match_substring_regex(raw, NUMBER)
        problems.count(name, pc.invert(good), "that are no number")
        text = pc.utf8_trim_whitespace(pc.if_else(good, raw, None))
        text = pc.replace_substring_regex(text, r"^\+", "")
        exact = pc.match_substring_regex(text, INTEGER)
        if whole and pc.all(exact).as_py() is not False:
            raw = text.cast(pa.int64())
        else:  # 1e+05 is how some programs write a round number
            raw = text.cast(pa.float64())
    elif pa.types.is_boolean(raw.type):
        raw = raw.cast(pa.int8())
    elif not (pa.types.is_integer(raw.type) or pa.types.is_floating(raw.type)):
        problems.found.append(f"{name}: {raw.type} is no number")
        return np.zeros(len(raw))
    if pa.types.is_floating(raw.type):
        raw = raw.cast(pa.float64())
        good = pc.less(pc.abs(raw), 2.0**53) if whole else pc.is_finite(raw)
        problems.count(name, pc.invert(good), "out of what a double can hold")
        raw = pc.if_else(good, raw, None)
    if whole and pa.types.is_floating(raw.type):
        good = pc.equal(raw, pc.trunc(raw))
        problems.count(name, pc.invert(good), "that are no whole number")
        raw = pc.if_else(good, raw, None)
    values = raw.cast(pa.int64() if whole else pa.float64(), safe=whole)
    for bound, outside, what in (
        (spec.minimum, pc.less, "below the minimum"),
        (spec.maximum, pc.greater, "above the maximum"),
    ):
        if bound is not None:
            problems.count(name, outside(values, pa.scalar(bound, pa.float64())), what)
    filled = pc.fill_null(values, 0).to_numpy(zero_copy_only=False)
    return np.array(filled, dtype=np.int64 if whole else np.float64)


def _categories(
    name: str,
    raw: pa.Array,
    categories: list[int] | list[str] | list[int | str],
    problems: Problems,
) -> np.ndarray:
    """Return integers as they are, and texts by their place among the categories."""
    texts = [str(value) for value in categories]
    if pa.types.is_floating(raw.type) and isinstance(categories[0], int):
        raw = pc.if_else(pc.equal(raw, pc.trunc(raw)), raw, -(2.0**53)).cast(pa.int64())
    if pa.types.is_boolean(raw.type):
        raw = raw.cast(pa.int8())
    given = pc.utf8_trim_whitespace(raw.cast(pa.string()))
    place = pc.index_in(given, value_set=pa.array(texts, pa.string()), skip_nulls=True)
    unknown = pc.and_(pc.is_null(place), pc.is_valid(given))
    problems.count(name, unknown, "of no known category")
    places = np.array(pc.fill_null(place, 0).to_numpy(zero_copy_only=False), dtype=np.int64)
    if isinstance(categories[0], int):
        return np.array(categories, dtype=np.int64)[places]
    return places
