"""Where data sets are looked for: the folder DATATOKEN_DATA, then the user's cache."""

import hashlib
import os
from pathlib import Path

from datatoken.errors import BadInputError


def cache_folder() -> Path:
    """Return the folder of the user's cache that data sets are kept in."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "datatoken" / "data"


def find_file(name: str, sha256: str) -> Path | None:
    """Return the path of a data set, or None where it is absent.

    Raises
    ------
    BadInputError
        When a file of this name has other bytes.
    """
    folders = [Path(os.environ["DATATOKEN_DATA"])] if os.environ.get("DATATOKEN_DATA") else []
    for folder in [*folders, cache_folder()]:
        path = folder / name
        if path.is_file():
            if hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
                raise BadInputError(f"{path} is not the data set that the demo knows (sha256).")
            return path
    return None
