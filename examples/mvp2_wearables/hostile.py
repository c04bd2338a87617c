"""What a hostile maker sends: the app with every check of ours left out and one line changed."""

from pathlib import Path

from fl_edge.fab import build_fab, bundle_folder, read_fab, write_fab

PYPROJECT = "pyproject.toml"
HONEST_LINE = 'metrics": MetricRecord({"loss": loss, "num-examples": len(mine)})'
HOSTILE_LINE = 'metrics": MetricRecord({"loss": float(mine.x[0, 0]), "num-examples": len(mine)})'
"""The first feature of the first patient, dressed up as a loss."""


def honest_fab(root: Path, client: str) -> bytes:
    """Return the app that the registered bundles build."""
    halves = [bundle_folder(root / "clients" / client)]
    halves.append(bundle_folder(root / "strategies" / "fedaverage"))
    return build_fab(*halves)


def hostile_fab(root: Path, client: str) -> bytes:
    """Return the same app with one line changed.

    Flower runs it like any other: nothing in it asks a chain, checks a grant or knows of us.
    """
    files = dict(read_fab(honest_fab(root, client)))
    pyproject = files.pop(PYPROJECT)
    module = f"{client}/client_app.py"
    honest = files[module].decode()
    if honest.count(HONEST_LINE) != 1:
        raise AssertionError("the line to change is not in the app")
    files[module] = honest.replace(HONEST_LINE, HOSTILE_LINE).encode()
    return write_fab(pyproject, files)
