"""What a data token's table looks like: names, types and bounds of its columns, never rows."""

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.types import Model

ColumnName = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,128}$")]
Category = (
    Annotated[int, Field(ge=-(2**53), le=2**53)] | Annotated[str, StringConstraints(max_length=128)]
)
MAX_COLUMNS = 1024


class ColumnSpec(Model):
    """One column.

    Attributes
    ----------
    type : {"int", "float", "category"}
        A category's values are integers or texts; an operation sees an integer as it is, and
        of a text its index in `categories`.
    minimum, maximum : float, optional
        Of an int or float.
    categories : list of int or of str, optional
        All values that a category may have.
    missing : {"refuse", "drop", "fill"}
        What a missing value does: refuse the table, drop the row, or become `fill`. Dropping
        rows changes who takes part: it fits before an intersection only.
    """

    type: Literal["int", "float", "category"]
    minimum: float | None = None
    maximum: float | None = None
    categories: list[Category] | None = Field(default=None, min_length=1, max_length=4096)
    missing: Literal["refuse", "drop", "fill"] = "refuse"
    fill: float | int | str | None = None
    description: Annotated[str, StringConstraints(max_length=500)] | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if (self.type == "category") != (self.categories is not None):
            raise ValueError("a category needs its categories, and nothing else has any")
        if self.type == "category" and (self.minimum, self.maximum) != (None, None):
            raise ValueError("a category has no minimum or maximum")
        if self.categories is not None:
            if len({type(value) for value in self.categories}) != 1:
                raise ValueError("categories are all integers or all texts")
            if len(set(self.categories)) != len(self.categories):
                raise ValueError("categories names a value twice")
        if None not in (low := self.minimum, high := self.maximum) and low > high:  # type: ignore[operator]
            raise ValueError("minimum is above maximum")
        if (self.missing == "fill") != (self.fill is not None):
            raise ValueError("fill goes with missing = fill, and only with it")
        if self.fill is not None and not self._holds(self.fill):
            raise ValueError("fill is not a value of this column")
        return self

    def _holds(self, value: float | int | str) -> bool:
        if self.categories is not None:
            return value in self.categories
        if isinstance(value, str) or (self.type == "int" and value != int(value)):
            return False
        low = -float("inf") if self.minimum is None else self.minimum
        return low <= value <= (float("inf") if self.maximum is None else self.maximum)


class TableSchema(Model):
    """The columns of a table, and the one that identifies its rows.

    Attributes
    ----------
    key : str
        Column of ids that the parties of a joint computation share.
    columns : dict of str to ColumnSpec
        What operations get to see; other columns of the source stay where they are.
    """

    key: ColumnName
    columns: dict[ColumnName, ColumnSpec] = Field(min_length=1, max_length=MAX_COLUMNS)

    @model_validator(mode="after")
    def _key_is_no_column(self) -> Self:
        if self.key in self.columns:
            raise ValueError("the key is no column: ids do not enter a computation")
        return self
