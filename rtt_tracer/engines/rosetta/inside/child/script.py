"""A user's script, unchanged, in the style of Rosetta's tutorials: one stage.

The script finds the owner's rows in CSV files where it looks for them (parameters `x-file`,
`y-file`). What it reveals to all parties is digested, so that they can compare; what it
reveals to this party is kept as a result.
"""

import hashlib
import os
import runpy
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Dict, Tuple

import latticex.rosetta as rtt
import numpy as np
from latticex.rosetta.secure.client import secure_session

from . import backend
from .talk import Failed

if TYPE_CHECKING:
    from .runner import Party

PLACE = Path("tmp/script/run")
ALL = 0b111


class Script:
    """One run of a script."""

    def __init__(self, party: "Party") -> None:
        self._party = party
        self._path = (Path("bundle") / party.job["entry_point"]).resolve()
        self._masks: Dict[str, Tuple[str, int]] = {}
        self._kept: Dict[str, Any] = {}
        self._revealed = hashlib.sha256()
        self._common = 0
        _watch_reveals(self._masks, self._take)

    def run(self) -> None:
        """Run the script from the folder that it expects to be in."""
        party, home = self._party, Path.cwd()
        PLACE.mkdir(parents=True, exist_ok=True)
        if party.rank in party.inputs:
            _write_tables(party)
        sys.path.insert(0, str(self._path.parent))
        os.chdir(str(PLACE))
        try:
            runpy.run_path(str(self._path), run_name="__main__")
        except SystemExit as leaving:
            if leaving.code:
                raise Failed("PROGRAM_FAILED", "the script left with an error") from None
        finally:
            os.chdir(str(home))
        if not backend.Backend.state:
            raise Failed("ACTIVATION_FAILED", "the script never activated Rosetta")
        rtt.deactivate()
        if self._kept:
            np.savez("out/results/values.npz", **self._kept)
        digest = "0x" + self._revealed.hexdigest() if self._common else party.job["agreed"]
        party.end(digest)

    def _take(self, name: str, value: object) -> None:
        """Take note of a value that the script has revealed."""
        label, mask = self._masks[name]
        found = np.asarray(value)
        if mask == ALL:
            self._common += 1
            self._revealed.update(f"{label} {found.shape}\n".encode())
            self._revealed.update(b"\n".join(_text(one) for one in found.ravel()) + b"\n")
        if mask >> self._party.rank & 1:
            numbers = [float(_text(one).decode()) for one in found.ravel()]
            self._kept[label] = np.array(numbers).reshape(found.shape)


def _text(value: object) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode()


def _watch_reveals(masks: Dict[str, Tuple[str, int]], take: Callable[[str, Any], None]) -> None:
    """Have `take` called with each value that a session gives for a revealed tensor."""
    reveal, run = rtt.SecureReveal, secure_session.SecureSession.run

    def watched(x: object, receive_parties: int = ALL, *args: object, **more: object) -> object:
        tensor = reveal(x, receive_parties, *args, **more)
        masks[tensor.name] = (f"reveal_{len(masks)}", receive_parties)
        return tensor

    def watched_run(self: object, fetches: object, *args: object, **more: object) -> object:
        values = run(self, fetches, *args, **more)
        _visit(fetches, values, masks, take)
        return values

    rtt.SecureReveal = watched
    secure_session.SecureSession.run = watched_run


def _visit(
    fetches: Any, values: Any, masks: Dict[str, Tuple[str, int]], take: Callable[[str, Any], None]
) -> None:
    if isinstance(fetches, (list, tuple)):
        for index, one in enumerate(fetches):
            _visit(one, values[index], masks, take)
    elif isinstance(fetches, dict):
        for key in sorted(fetches):
            _visit(fetches[key], values[key], masks, take)
    elif getattr(fetches, "name", None) in masks:
        take(fetches.name, values)


def _write_tables(party: "Party") -> None:
    """Write the owner's rows where the script looks for them."""
    parameters, rank = party.parameters, party.rank
    table = party.table()
    label = parameters.get("label", "")
    wanted = [one.strip() for one in parameters.get("columns", "").split(",") if one.strip()]
    own = [name for name in sorted(table) if name not in ("ids", "__schema__", label)]
    columns = [name for name in own if name in wanted or not wanted]
    given = {"x-file": columns}
    if party.inputs[rank] == parameters.get("label-party", 0) and label in table:
        given["y-file"] = [label]
    root = PLACE.parent.resolve()
    for name, chosen in given.items():
        if name not in parameters:  # the script reads no such file
            continue
        path = (PLACE.resolve() / parameters[name].replace("{rank}", str(rank))).resolve()
        if root not in path.parents:
            raise Failed("PROGRAM_FAILED", f"{name} leads out of the script's folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        rows = np.column_stack([table[column] for column in chosen])
        np.savetxt(str(path), rows, delimiter=",", fmt="%.17g")
