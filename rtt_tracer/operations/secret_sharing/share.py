"""Entry point: the owner's table in, the arrays out that the engine turns into shares."""

import numpy as np

from .columns import Column, Parameters, Table, features, schema_of
from .describing import statistics_arrays
from .encoding import Floats, labels, model_matrix, order


def share(table: Table, parameters: Parameters, party: int) -> dict[str, Floats]:
    """Return what input party number `party` gives to a joint computation.

    Parameters
    ----------
    table : mapping
        Columns by name, and the owner's schema.
    parameters : mapping
        The run configuration; see operation.json.
    party : int

    Returns
    -------
    dict
        ``x`` (rows × features) and, at the party of the labels, ``y`` (rows × 1); with encoding
        ``statistics`` also ``moments`` and ``bins``. Rows stand in the public order.

    Raises
    ------
    ValueError
        When the table does not hold what the parameters ask for.
    """
    schema, label = schema_of(table), parameters["label"]
    columns = features(schema, parameters)
    arrays: dict[str, Floats] = {}
    labelled = bool(label) and party == parameters["label-party"]
    rows = order(len(table[columns[0].name]), parameters["seed"])
    if labelled:
        arrays["y"] = labels(table, label)[rows, None]
    if parameters["encoding"] == "model":
        arrays["x"] = model_matrix(table, columns, parameters)[rows]
    else:
        described = [*columns, Column(label)] if labelled else columns
        for name, array in statistics_arrays(table, described, parameters).items():
            # Moments stand by column, not by row.
            arrays[name] = array if name == "moments" else array[rows]
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError("the table holds values that are missing or no numbers")
    return arrays
