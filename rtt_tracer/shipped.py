"""The operations that come with this package: secret sharing, logistic regression and others."""

from pathlib import Path

from datatoken.shipped import find_operation
from rtt_tracer.document import SOURCE

FOLDER = Path(__file__).resolve().parent / "operations"


def shipped_operations() -> dict[str, Path]:
    """Return the shipped operations' folders by name, for example ``logistic_regression``."""
    return {source.parent.name: source.parent for source in sorted(FOLDER.glob(f"*/{SOURCE}"))}


def operation_folder(name: str) -> Path:
    """Return the folder that `name` means: a path, or a shipped operation.

    Raises
    ------
    BadInputError
        When it is neither.
    """
    return find_operation(name, shipped_operations())
