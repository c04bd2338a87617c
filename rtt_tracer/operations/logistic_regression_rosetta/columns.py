"""Which columns take part, and what each of them is: `secret_sharing.columns` for CPython 3.6."""

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    Table = Mapping[str, np.ndarray]
    Parameters = Mapping[str, Any]

SCHEMA, IDS = "__schema__", "ids"
"""Members of a table that are no columns."""

WIDE = 10000
"""Declared range from which on a number is taken for an amount of money."""


class Column(NamedTuple):
    """One column that takes part.

    Attributes
    ----------
    codes : tuple of int
        What a table holds for each category: the index of a text, an integer as it is.
    log : bool
        An amount: encoded as sign(v) · log(1 + |v|).
    """

    name: str
    codes: "tuple[int, ...]"
    minimum: "float | None"
    maximum: "float | None"
    log: bool


def features(schema: "Mapping[str, Any]", parameters: "Parameters") -> "list[Column]":
    """Return the columns that take part, by name; the label is none of them.

    Raises
    ------
    ValueError
        When none of the columns is left.
    """
    declared = schema["columns"]
    wanted = names_in(parameters["columns"]) or set(declared)
    chosen = sorted((wanted & set(declared)) - {parameters["label"]})
    if not chosen:
        raise ValueError("none of the columns that were asked for is in the table")
    return [_column(name, declared[name], parameters["amounts"]) for name in chosen]


def schema_of(table: "Table") -> "Mapping[str, Any]":
    """Return the schema that lies in a table; where there is none, all columns are numbers."""
    if SCHEMA in table:
        found: Mapping[str, Any] = json.loads(bytes(table[SCHEMA]).decode())
        return found
    return {"columns": {name: {"type": "float"} for name in table if name != IDS}}


def names_in(text: str) -> "set[str]":
    """Return the names in a list separated by commas."""
    return {name.strip() for name in text.split(",") if name.strip()}


def _column(name: str, spec: "Mapping[str, Any]", amounts: str) -> Column:
    low, high = spec.get("minimum"), spec.get("maximum")
    if spec.get("categories"):
        pairs = enumerate(spec["categories"])
        codes = tuple(place if isinstance(value, str) else value for place, value in pairs)
        return Column(name, codes, None, None, False)
    if amounts == "auto":
        log = low is not None and high is not None and high - low >= WIDE
    else:
        log = name in names_in(amounts)
    return Column(name, (), low, high, log)
