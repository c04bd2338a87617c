"""What SPU's processes say and leave, as their supervisor reads it."""

import hashlib
import re
from pathlib import Path
from typing import Any

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import parse_json
from datatoken.errors import BadInputError, RunFailedError
from datatoken.types import Hex32
from rtt_tracer.engines.events import EngineEvent

MANIFEST, SALT = "manifest.json", "salt"
MAX_MANIFEST_BYTES = 1024 * 1024
COLUMNS = "columns."
MAX_COLUMNS = 2**24
_INDICES = frozenset(str(index) for index in range(64))
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


def columns_of(event: EngineEvent) -> list[int]:
    """Return the columns that a ``ready`` of `spu.share` tells: one number for each array.

    Raises
    ------
    Refused
        ENGINE_FAILED when they can be no columns: whoever says so runs in the sandbox.
    """
    found = {}
    for name, value in event.metrics.items():
        if not name.startswith(COLUMNS):
            continue
        index = name.removeprefix(COLUMNS)
        if index not in _INDICES or not 0 <= value < MAX_COLUMNS or value != int(value):
            raise Refused(Reason.ENGINE_FAILED, "The engine has named columns that can't be.")
        found[int(index)] = int(value)
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
    try:
        plain = parse_json(manifest, MANIFEST, MAX_MANIFEST_BYTES)
    except BadInputError as error:
        raise _wrong(folder, error.message) from None
    if not _is_manifest(plain):
        raise _wrong(folder, "the manifest is none")
    for output in plain["outputs"]:
        path = folder / f"{output['name']}.share"
        try:
            digest = "0x" + hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError:
            raise _wrong(folder, f"{path.name} is missing") from None
        if digest != output.get("sha256"):
            raise _wrong(folder, f"{path.name} is not the one committed to")
    return dict(plain)


def _is_manifest(plain: Any) -> bool:
    """Whether a party's manifest names files, and only such as lie beside it."""
    outputs = plain.get("outputs") if isinstance(plain, dict) else None
    return isinstance(outputs, list) and all(
        isinstance(one, dict) and isinstance(name := one.get("name"), str) and _NAME.fullmatch(name)
        for one in outputs
    )


def _wrong(folder: Path, why: str) -> RunFailedError:
    return RunFailedError(
        f"The results of compute party {folder.name} don't hold: {why}.",
        "Ask that party again, or run the job anew.",
    )
