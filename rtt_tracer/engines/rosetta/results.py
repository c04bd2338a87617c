"""Results of a Rosetta run: shares at ranks 0 and 1 that add up to numbers."""

import json
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from datatoken.errors import RunFailedError
from rtt_tracer.engines.spu.results import MANIFEST, check_results

__all__ = ["check_results", "reconstruct"]
HOLDERS = 2
RING = np.dtype("<u8")
SIGNED = np.dtype("<i8")
MOST_BITS = 31
LARGEST_BITS = 62
"""A product has twice the fraction bits; what is larger than fits above them has overflown."""


def reconstruct(folders: Sequence[Path], out: Path) -> None:
    """Open results; rank 2 only helped and has none.

    Raises
    ------
    RunFailedError
        When the shares do not belong together, or a value is too large to be right.
    """
    try:
        found = _opened(folders)
    except (KeyError, TypeError, ValueError, OverflowError):
        raise _wrong("a party's manifest is none") from None
    with zipfile.ZipFile(out, "w") as archive:  # np.savez can't take every name
        for name, values in found.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)


def _opened(folders: Sequence[Path]) -> "dict[str, np.ndarray[Any, Any]]":
    manifests = [_manifest(folder) for folder in folders[:HOLDERS]]
    if len(manifests) < HOLDERS:
        raise _wrong("the shares of ranks 0 and 1 are needed")
    first, second = manifests
    for name in ("agreed", "fraction_bits"):
        if first[name] != second[name]:
            raise _wrong("the shares are of different runs")
    if [one["rank"] for one in manifests] != [0, 1] or _outputs(first) != _outputs(second):
        raise _wrong("the shares do not fit together")
    bits = int(first["fraction_bits"])
    if not 0 < bits < MOST_BITS:
        raise _wrong("the numbers' precision is none of Rosetta's")
    found: dict[str, np.ndarray[Any, Any]] = {}
    for name, (shape, bound) in _outputs(first).items():
        paths = [folder / f"{name}.share" for folder in folders[:HOLDERS]]
        found[name] = _open(paths, shape, bits, bound)
    return found


def _open(
    paths: list[Path], shape: tuple[int, ...], bits: int, bound: float | None
) -> "np.ndarray[Any, Any]":
    try:
        parts = [np.frombuffer(path.read_bytes(), RING).reshape(shape) for path in paths]
    except (OSError, ValueError):
        raise _wrong(f"{paths[0].name} is missing or of another shape") from None
    values: np.ndarray[Any, Any] = (parts[0] + parts[1]).view(SIGNED) / float(1 << bits)
    largest = 2.0 ** (LARGEST_BITS - 2 * bits) if bound is None else bound
    if values.size and float(np.abs(values).max()) > largest:
        raise _wrong(f"{paths[0].stem} was not computed right: a value is out of range")
    return values


def _manifest(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / MANIFEST).read_bytes())
    except (OSError, ValueError):
        raise _wrong(f"{folder.name} has no {MANIFEST}") from None
    if not isinstance(found, dict):
        raise _wrong(f"the {MANIFEST} of {folder.name} is none")
    return found


def _outputs(manifest: dict[str, Any]) -> dict[str, tuple[tuple[int, ...], float | None]]:
    """Return shape and bound by name."""
    return {one["name"]: (tuple(one["shape"]), one.get("bound")) for one in manifest["outputs"]}


def _wrong(why: str) -> RunFailedError:
    return RunFailedError(f"The result can't be opened: {why}.", "Run the job anew.")
