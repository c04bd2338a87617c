"""The operations that come with this package: EdgeComp, FedAverage and others."""

from pathlib import Path

from datatoken.shipped import find_operation
from fl_edge.fab.bundle import SOURCE

PACKAGE = Path(__file__).resolve().parents[1]
PLACES = (PACKAGE / "_content", PACKAGE.parent)
"""In an installed wheel, and in a checkout."""


def shipped_operations() -> dict[str, Path]:
    """Return the shipped operations' folders by name, for example ``edgecomp_numpy``."""
    for place in PLACES:
        found = {
            source.parent.name: source.parent
            for kind in ("clients", "strategies")
            for source in sorted((place / kind).glob(f"*/{SOURCE}"))
        }
        if found:
            return found
    return {}


def operation_folder(name: str) -> Path:
    """Return the folder that `name` means: a path, or a shipped operation.

    Raises
    ------
    BadInputError
        When it is neither.
    """
    return find_operation(name, shipped_operations())
