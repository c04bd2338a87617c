"""Entry point: the identifiers that two owners hold against each other's, blinded."""

from collections.abc import Mapping
from typing import Any

import numpy as np


def identifiers(table: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> list[str]:
    """Return the key of each row, trimmed, in one letter case where that is asked for.

    Raises
    ------
    ValueError
        When two rows then have the same identifier.
    """
    found = [str(value).strip() for value in table["ids"]]
    if parameters["letter-case"] == "upper":
        found = [value.upper() for value in found]
    if len(set(found)) != len(found):
        raise ValueError("two rows have the same identifier")
    return found
