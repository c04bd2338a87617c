"""What `datatoken doctor` asks of the Flower part."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version

from datatoken.doctor.findings import Finding, State

SUPPORTED = ("1.40.", "1.41.")
"""Versions of flwr whose seams the gates are tested with."""


def checks() -> Iterator[Finding]:
    """Check that flwr is there, and is a version that the gates can hold on to."""
    try:
        found = version("flwr")
    except PackageNotFoundError:
        mend = "For SuperNodes, SuperLink and runs: pip install 'datatoken[flower]'."
        yield Finding("flower", State.ABSENT, "flwr is not installed.", mend)
        return
    if not found.startswith(SUPPORTED):
        mend = "Install flwr 1.40 or 1.41: gates refuse to start on another version."
        yield Finding("flower", State.ERROR, f"flwr {found} is not supported.", mend)
        return
    yield Finding("flower", State.OK, f"flwr {found}.")
