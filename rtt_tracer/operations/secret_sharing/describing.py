"""Encoding for joint statistics: standardised numbers, their moments, and bins."""

from collections.abc import Mapping, Sequence

import numpy as np

from .columns import Column, Parameters, Table
from .encoding import Floats, category_names, one_hot, standard


def statistics_arrays(
    table: Table, columns: Sequence[Column], parameters: Parameters
) -> Mapping[str, Floats]:
    """Return ``x`` and ``moments`` of the numbers, ``bins`` of all columns but the label.

    ``x`` is rows × numbers, with mean 0 and deviation 1. ``moments`` holds mean and deviation
    of number j in row j, and 0 in all further rows: every array has the table's rows.

    Raises
    ------
    ValueError
        When there are more numbers than rows.
    """
    arrays = {}
    if plain := [Column(column.name) for column in columns if column.number]:
        rows = len(table[plain[0].name])
        if len(plain) > rows:
            raise ValueError(f"{rows} rows are too few for statistics of {len(plain)} columns")
        moments = np.zeros((rows, 2))
        for place, column in enumerate(plain):
            values = np.asarray(table[column.name], np.float64)
            moments[place] = values.mean(), values.std()
        parts = [standard(table[column.name], column, "own") for column in plain]
        arrays = {"x": np.column_stack(parts), "moments": moments}
    binned = [column for column in columns if column.name != parameters["label"]]
    if binned:
        arrays["bins"] = np.hstack([bins(table[c.name], c, parameters) for c in binned])
    return arrays


def bins(values: np.ndarray, column: Column, parameters: Parameters) -> Floats:
    """Return rows × bins of 0 and 1: categories, else quantiles or equal widths.

    The edges of quantiles are the owner's and stay with the owner; edges of equal width follow
    from the declared range.

    Raises
    ------
    ValueError
        When bins of equal width are asked for and no range is declared.
    """
    if column.categories:
        return one_hot(values, column, parameters["max-categories"])
    count, found = parameters["bins"], np.asarray(values, np.float64)
    if parameters["binning"] == "quantile":
        edges = np.quantile(found, np.arange(1, count) / count)
    elif column.minimum is None or column.maximum is None:
        raise ValueError(f"column {column.name} declares no minimum and maximum to cut it by")
    else:
        edges = np.linspace(column.minimum, column.maximum, count + 1)[1:-1]
    place = np.searchsorted(edges, found, side="right")
    hot: Floats = (place[:, None] == np.arange(count)[None, :]).astype(np.float64)
    return hot


def number_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of the columns of ``x``."""
    return [column.name for column in columns if column.number]


def bin_names(columns: Sequence[Column], parameters: Parameters) -> list[tuple[str, str]]:
    """Return (column, bin) of each column of ``bins``; a number has bins 1, 2 and so on."""
    return [
        (column.name, name)
        for column in columns
        if column.name != parameters["label"]
        for name in (
            category_names(column, parameters["max-categories"])
            if column.categories
            else map(str, range(1, parameters["bins"] + 1))
        )
    ]
