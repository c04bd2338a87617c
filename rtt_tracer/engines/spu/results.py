"""What SPU's processes say and leave, as their supervisor reads it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from datatoken.ddo.canonical import parse_json
from datatoken.errors import RunFailedError
from datatoken.types import Hex32
from rtt_tracer.engines.events import EngineEvent

MANIFEST, SALT = "manifest.json", "salt"
MAX_MANIFEST_BYTES = 1024 * 1024
COLUMNS = "columns."


def columns_of(event: EngineEvent) -> list[int]:
    """Return the columns that a ``ready`` of `spu.share` tells: one number for each array."""
    found = {
        int(name.removeprefix(COLUMNS)): int(value)
        for name, value in event.metrics.items()
        if name.startswith(COLUMNS) and name.removeprefix(COLUMNS).isdecimal()
    }
    return [found.get(index, 0) for index in range(max(found, default=-1) + 1)]


def check_results(folder: Path, commitment: Hex32) -> dict[str, Any]:
    """Hold one party's results against its last commitment; return the manifest.

    Parameters
    ----------
    folder : Path
        With ``manifest.json``, ``salt`` and the shares.
    commitment : Hex32
        Of the last checkpoint: sha256(salt ‖ manifest).

    Raises
    ------
    RunFailedError
        When something is missing or is not what was committed to.
    """
    try:
        manifest = (folder / MANIFEST).read_bytes()
        salt = (folder / SALT).read_bytes()
    except OSError as error:
        raise _wrong(folder, f"{Path(error.filename or MANIFEST).name} is missing") from None
    if "0x" + hashlib.sha256(salt + manifest).hexdigest() != commitment:
        raise _wrong(folder, "the manifest is not the one committed to")
    plain: dict[str, Any] = parse_json(manifest, MANIFEST, MAX_MANIFEST_BYTES)
    for output in plain["outputs"]:
        path = folder / f"{output['name']}.share"
        try:
            digest = "0x" + hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            raise _wrong(folder, f"{path.name} is missing") from None
        if digest != output["sha256"]:
            raise _wrong(folder, f"{path.name} is not the one committed to")
    return plain


def answer(output: bytes) -> dict[str, Any]:
    """Return the last line of a child's output as JSON; empty where there is none."""
    lines = output.strip().splitlines()
    try:
        found = json.loads(lines[-1]) if lines else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _wrong(folder: Path, why: str) -> RunFailedError:
    return RunFailedError(
        f"The results of compute party {folder.name} don't hold: {why}.",
        "Ask that party again, or run the job anew.",
    )
