"""Table schemas in a DDO."""

from typing import Any

import pytest

from datatoken.ddo.canonical import canonical_bytes, validate
from datatoken.ddo.models import Metadata
from datatoken.ddo.tables import TableSchema
from datatoken.errors import BadInputError


def schema(**column: Any) -> dict[str, Any]:
    return {"key": "ID", "columns": {"AGE": {"type": "int"} | column}}


def metadata(extra: dict[str, Any]) -> dict[str, Any]:
    return {"services": [{"type": "data", "endpoint": "https://a", "extra_params": extra}]}


@pytest.mark.parametrize(
    "column",
    [
        {},
        {"minimum": -5, "maximum": 5.5},
        {"missing": "drop"},
        {"missing": "fill", "fill": 3},
        {"type": "category", "categories": [1, 2, 0]},
        {"type": "category", "categories": ["b", "a"], "missing": "fill", "fill": "a"},
    ],
)
def test_schemas_that_can_be_declared(column: dict[str, Any]) -> None:
    plain = metadata({"table_schema": schema(**column)})

    assert validate(Metadata, plain, "metadata").service.extra_params.table_schema is not None


@pytest.mark.parametrize(
    "column",
    [
        {"type": "text"},
        {"minimum": 6, "maximum": 5},
        {"categories": [1]},
        {"type": "category"},
        {"type": "category", "categories": []},
        {"type": "category", "categories": [1, "a"]},
        {"type": "category", "categories": [1, 1]},
        {"type": "category", "categories": [1], "minimum": 0},
        {"missing": "guess"},
        {"missing": "fill"},
        {"fill": 3},
        {"missing": "fill", "fill": 3.5},
        {"missing": "fill", "fill": 9, "maximum": 8},
        {"type": "category", "categories": ["a"], "missing": "fill", "fill": "b"},
        {"hidden": True},
    ],
)
def test_schemas_that_contradict_themselves(column: dict[str, Any]) -> None:
    with pytest.raises(BadInputError):
        validate(TableSchema, schema(**column), "table schema")


def test_the_key_is_no_column() -> None:
    """Ids do not enter a computation by the back door."""
    with pytest.raises(BadInputError, match="the key is no column"):
        validate(TableSchema, {"key": "AGE", "columns": {"AGE": {"type": "int"}}}, "table schema")


def test_a_ddo_without_a_schema_keeps_its_proof() -> None:
    """DTs minted before the field existed stay what they are."""
    plain = metadata({"name": "rows"})

    assert b"table_schema" not in canonical_bytes(validate(Metadata, plain, "metadata"))
