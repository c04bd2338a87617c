"""Which columns take part, and what each of them is: from the owner's public schema.

Order is by name on every side, so that whoever knows schema and parameters knows what each
column of a joint model stands for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Table = Mapping[str, np.ndarray]
Parameters = Mapping[str, Any]

SCHEMA, IDS = "__schema__", "ids"
"""Members of a table that are no columns."""

WIDE = 10_000
"""Declared range from which on a number is taken for an amount of money."""


@dataclass(frozen=True)
class Column:
    """One column that takes part.

    Attributes
    ----------
    categories : tuple of int or str
        As declared; a table holds the index of a text and an integer as it is.
    log : bool
        An amount: encoded as sign(v) · log(1 + |v|).
    """

    name: str
    categories: tuple[int | str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    log: bool = False

    @property
    def codes(self) -> tuple[int, ...]:
        """What a table holds for each category."""
        return tuple(
            place if isinstance(value, str) else value
            for place, value in enumerate(self.categories)
        )

    @property
    def number(self) -> bool:
        """Whether the values are numbers: counted or measured ones, or integer categories."""
        return not any(isinstance(value, str) for value in self.categories)


def features(schema: Mapping[str, Any], parameters: Parameters) -> list[Column]:
    """Return the columns that take part, by name; the label is none of them.

    Parameters
    ----------
    schema : mapping
        A table schema's JSON: ``{"key": …, "columns": {name: {"type": …}}}``.
    parameters : mapping
        `columns`, `label` and `amounts` of the run configuration.

    Raises
    ------
    ValueError
        When none of the columns is left.
    """
    declared: Mapping[str, Mapping[str, Any]] = schema["columns"]
    wanted = names_in(parameters["columns"]) or set(declared)
    chosen = sorted((wanted & set(declared)) - {parameters["label"]})
    if not chosen:
        raise ValueError("none of the columns that were asked for is in the table")
    return [_column(name, declared[name], parameters["amounts"]) for name in chosen]


def schema_of(table: Table) -> Mapping[str, Any]:
    """Return the schema that lies in a table; where there is none, all columns are numbers."""
    if SCHEMA in table:
        found: Mapping[str, Any] = json.loads(bytes(table[SCHEMA]).decode())
        return found
    return {"columns": {name: {"type": "float"} for name in table if name != IDS}}


def names_in(text: str) -> set[str]:
    """Return the names in a list separated by commas."""
    return {name.strip() for name in text.split(",") if name.strip()}


def _column(name: str, spec: Mapping[str, Any], amounts: str) -> Column:
    low, high = spec.get("minimum"), spec.get("maximum")
    if spec.get("categories"):
        return Column(name, tuple(spec["categories"]))
    if amounts == "auto":
        log = low is not None and high is not None and high - low >= WIDE
    else:
        log = name in names_in(amounts)
    return Column(name, (), low, high, log)
