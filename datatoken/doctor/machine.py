"""Checks of this machine: Python, packages, folders, keys, engines."""

import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import PackageNotFoundError, entry_points, version
from pathlib import Path

from datatoken.chain.signer import PUBLIC_ACCOUNTS
from datatoken.doctor.findings import Finding, State, attempt
from datatoken.types import Address

GROUP = "datatoken.doctor"
MIN_PYTHON, MAX_PYTHON = (3, 11), (3, 13)
LOW_DISK = 1024**3
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "flower": ("flwr",),
    "service": ("flask", "waitress"),
    "mpc": ("grpcio", "pandas", "sqlalchemy"),
    "ipfs": ("ipfshttpclient",),
}
"""What each extra of the package brings, as far as it is looked for."""


def python() -> Iterator[Finding]:
    """Check the interpreter and which extras are installed."""
    here = ".".join(str(part) for part in sys.version_info[:3])
    if MIN_PYTHON <= sys.version_info[:2] < MAX_PYTHON:
        yield Finding("python", State.OK, f"Python {here}, datatoken {version('datatoken')}.")
    else:
        yield Finding(
            "python", State.ERROR, f"Python {here} is not supported.", "Use Python 3.11 or 3.12."
        )
    for extra, packages in EXTRAS.items():
        missing = [package for package in packages if _version(package) is None]
        if missing:
            yield Finding(
                "packages",
                State.ABSENT,
                f"The extra {extra} is not installed ({', '.join(missing)}).",
                f"Where it is needed: pip install 'datatoken[{extra}]'.",
            )
        else:
            found = ", ".join(f"{package} {_version(package)}" for package in packages)
            yield Finding("packages", State.OK, f"Extra {extra}: {found}.")


def folder(path: Path) -> Iterator[Finding]:
    """Check that a state folder can be written, and how much room it has."""
    existing = next((one for one in (path, *path.absolute().parents) if one.exists()), Path("/"))
    if not _writable(existing):
        yield Finding(
            "folder",
            State.ERROR,
            f"The state folder {path} cannot be written.",
            "Give another one (--folder), or correct its permissions.",
        )
        return
    yield Finding(
        "folder",
        State.OK,
        f"The state folder is {path}." if path.exists() else f"{path} will be made when needed.",
    )
    free = shutil.disk_usage(existing).free
    if free < LOW_DISK:
        yield Finding(
            "folder",
            State.WARNING,
            f"Only {free // 1024**2} MiB are free where {path} is.",
            "Journals and receipts stop the run when they cannot be written: make room.",
        )


def keys(
    folder: Path, address_of: Callable[[Path], Address | None], *, trial: bool
) -> Iterator[Finding]:
    """Check the keystores of a folder: who may read them, and whether all the world has them.

    Parameters
    ----------
    folder : Path
    address_of : callable
        Returns the address that a keystore file names, or None when it is none.
    trial : bool
        Whether the chain is a local one, where public development keys are in order.
    """
    found = sorted(folder.glob("*.json")) if folder.is_dir() else []
    for path in found:
        address = address_of(path)
        if address is None:
            yield Finding(
                "keys", State.ERROR, f"{path} is no keystore.", "Restore it from a backup."
            )
        elif address in PUBLIC_ACCOUNTS and not trial:
            yield Finding(
                "keys",
                State.ERROR,
                f"{path} is a public development key: anybody can sign with it.",
                "Create one of your own: datatoken key create NAME",
            )
    for path in (*found, folder / "password"):
        if path.is_file() and path.stat().st_mode & 0o077:
            yield Finding(
                "keys",
                State.WARNING,
                f"Others on this machine can read {path}.",
                f"Run: chmod 600 {path}",
            )
    yield Finding("keys", State.OK, f"{len(found)} keystores in {folder}.")


def engines() -> Iterator[Finding]:
    """Run the checks that installed engines bring."""
    for point in sorted(entry_points(group=GROUP), key=lambda one: one.name):
        yield from attempt(point.name, lambda point=point: point.load()())  # type: ignore[misc]


def _writable(path: Path) -> bool:
    """Tell by trying: permissions alone do not know of read-only and full file systems."""
    try:
        with tempfile.TemporaryFile(dir=path):
            return True
    except OSError:
        return False


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
