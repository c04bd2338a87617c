"""Finding an operation's folder: a path, or the name of one that comes with a package."""

from collections.abc import Mapping
from pathlib import Path

from datatoken.errors import BadInputError


def find_operation(name: str, shipped: Mapping[str, Path]) -> Path:
    """Return the folder that `name` means: a path, or a shipped operation.

    Parameters
    ----------
    name : str
    shipped : mapping of str to Path
        Folders by name.

    Raises
    ------
    BadInputError
        When it is neither.
    """
    if (path := Path(name)).is_dir():
        return path
    if name not in shipped:
        raise BadInputError(
            f"There is no folder {name}, and no operation of that name is shipped.",
            f"Shipped: {', '.join(shipped) or 'none'}.",
        )
    return shipped[name]
