"""``job.json``: one party's part of a run, and its operation's code."""

import importlib
import inspect
import json
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .failure import OPERATION_FAILED, OPERATION_UNFIT, Failure

JOB = "job.json"
SCHEMA = "__schema__"


@dataclass(frozen=True)
class Job:
    """What `rtt_tracer.engines.child_process` wrote; see `EngineJob` for most of it.

    Attributes
    ----------
    arrays : tuple of str
        Names of the arrays that an input party gives.
    shapes : mapping
        By input name (``x0``), rows × columns.
    stages : int
    outputs : mapping
        What the program declares by name, each with its largest magnitude or None; empty for
        a plain function, of which nobody knows before.
    endpoints : tuple of str
        host:port and the certificate's digest of each linked party, by rank.
    """

    role: str
    entry_point: str
    agreed: str
    rank: int
    world: int
    protocol: str
    parameters: Mapping[str, Any]
    party: int
    rows: int
    arrays: tuple[str, ...]
    shapes: Mapping[str, tuple[int, int]]
    stages: int
    outputs: Mapping[str, float | None]
    seconds: float
    start_seconds: float
    endpoints: tuple[str, ...]

    @classmethod
    def read(cls, path: Path) -> "Job":
        """Read ``job.json``."""
        plain = json.loads(path.read_text(encoding="utf-8"))
        shapes = {name: (int(rows), int(width)) for name, (rows, width) in plain["shapes"].items()}
        tuples = {name: tuple(plain[name]) for name in ("arrays", "endpoints")}
        return cls(**{**plain, **tuples, "shapes": shapes})

    def terms(self) -> bytes:
        """Return what must be the same at all linked parties, beside code and agreed hash."""
        named = ("role", "protocol", "parameters", "world", "shapes", "stages", "outputs")
        plain = {name: getattr(self, name) for name in (*named, "endpoints")}
        return json.dumps(plain, sort_keys=True).encode()

    def code(self) -> Any:
        """Import the operation and return what its entry point names; a class is instantiated."""
        module, _, attribute = self.entry_point.partition(":")
        sys.path.append(str(Path("bundle").resolve()))  # last: shadows nothing
        found = guarded(lambda: getattr(importlib.import_module(module), attribute))
        return guarded(found) if inspect.isclass(found) else found


def guarded(call: Callable[..., Any], *arguments: Any) -> Any:
    """Call the operation's code; what it raises ends the run by code, its text in the log only."""
    try:
        return call(*arguments)
    except Exception as error:
        raise Failure(
            OPERATION_FAILED,
            f"The operation's code failed ({type(error).__name__}); the engine's log says where.",
        ) from error


def read_table() -> dict[str, np.ndarray]:
    """Return the owner's columns by name, the key as ``ids`` and the schema as `SCHEMA`."""
    with np.load("in/table.npz", allow_pickle=False) as table:
        return {name: table[name] for name in table.files}


def named_arrays(values: Any, what: str) -> dict[str, np.ndarray]:
    """Return what an operation gave as finite numbers by name; raise `Failure`."""
    if not isinstance(values, Mapping) or not all(isinstance(name, str) for name in values):
        raise Failure(OPERATION_UNFIT, f"{what} gave no arrays by name.")
    found = {name: np.asarray(value) for name, value in values.items()}
    for name, array in found.items():
        if array.dtype.kind not in "fiub":
            raise Failure(OPERATION_UNFIT, f"{what} gave {name!r}, which holds no numbers.")
        if array.dtype.kind == "f" and not np.isfinite(array).all():
            raise Failure(OPERATION_UNFIT, f"{what} gave {name!r} with values that are not finite.")
    return found


def write_values(path: Path, values: Mapping[str, np.ndarray]) -> None:
    """Write arrays by name as an ``.npz`` file."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, array in values.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)
