"""What is installed here of what operations are locked to."""

import importlib.metadata
from collections.abc import Iterable

from datatoken.ddo.operation import OperationDocument


def installed_versions(documents: Iterable[OperationDocument]) -> dict[str, str]:
    """Return the installed version of each distribution in the operations' locks.

    One that is not installed is left out; the decision says so.
    """
    found = {}
    for name in {name for document in documents for name in document.lock}:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
