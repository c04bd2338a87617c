"""Opens results: one folder of shares from each compute party becomes values."""

import hashlib
import json
import os
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import spu
from spu import libspu

from .commitments import sha256
from .failure import ENGINE_FAILED, RESULT_UNFIT, SHARES_UNFIT, Failure
from .job import write_values
from .pipes import Pipes
from .setting import FIELDS, PARTIES
from .wire import unpack

MANIFEST = "manifest.json"
SHARES, VALUES = Path("shares"), Path("values.npz")
OWN = ("rank", "state", "outputs")
"""What may differ between the parties' manifests."""
DTYPES = {
    "float32": libspu.DataType.DT_F32,
    "int32": libspu.DataType.DT_I32,
    "uint32": libspu.DataType.DT_U32,
    "bool": libspu.DataType.DT_I1,
}


def main() -> None:
    """Open ``shares/<rank>`` in this folder into ``values.npz``; the end is told over the pipe."""
    pipes = Pipes.inherited()
    status = 1
    try:
        folders = sorted(SHARES.iterdir(), key=lambda one: int(one.name))
        write_values(VALUES, reconstruct(folders))
        pipes.end("0x" + hashlib.sha256(VALUES.read_bytes()).hexdigest(), {})
        status = 0
    except Failure as failure:
        pipes.failed(failure.code, failure.message)
    except BaseException as error:
        traceback.print_exc()
        pipes.failed(ENGINE_FAILED, f"SPU could not open it ({type(error).__name__}).")
    os._exit(status)


def reconstruct(folders: Sequence[Path]) -> dict[str, np.ndarray]:
    """Return the values by name.

    Raises
    ------
    Failure
        When the parties' manifests contradict each other, a share is not the listed one, or a
        value is not finite or beyond its bound: that is what a result looks like when one
        party ran something else.
    """
    manifests = [_manifest(folder, rank) for rank, folder in enumerate(folders)]
    first = manifests[0]
    if first["world"] != len(folders) or first["protocol"] not in PARTIES:
        raise Failure(SHARES_UNFIT, f"Shares of {first['world']} parties are needed.")
    for other in manifests[1:]:
        if _common(other) != _common(first):
            raise Failure(SHARES_UNFIT, "The parties' manifests contradict each other.")
    config = libspu.RuntimeConfig(
        protocol=spu.parse_protocol_kind(first["protocol"]),
        field=spu.parse_field_type(first["field"]),
    )
    config.fxp_fraction_bits = first["fraction_bits"]
    io = spu.Io(len(folders), config)
    found = {}
    for index, output in enumerate(first["outputs"]):
        shares = [
            _share(folder, manifest["outputs"][index])
            for folder, manifest in zip(folders, manifests, strict=True)
        ]
        if len({share.meta for share in shares}) != 1:
            raise Failure(SHARES_UNFIT, f"The shares of {output['name']} do not belong together.")
        found[output["name"]] = _checked(io.reconstruct(shares), output, first)
    return found


def _manifest(folder: Path, rank: int) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise Failure(SHARES_UNFIT, f"Rank {rank} left no manifest.") from None
    if found.get("rank") != rank or found.get("field") not in FIELDS:
        raise Failure(SHARES_UNFIT, f"The manifest of rank {rank} is another's.")
    return found


def _common(manifest: dict[str, Any]) -> dict[str, Any]:
    shared = {key: value for key, value in manifest.items() if key not in OWN}
    outputs = [{k: v for k, v in one.items() if k != "sha256"} for one in manifest["outputs"]]
    return {**shared, "outputs": outputs, "state": sorted(manifest["state"])}


def _share(folder: Path, output: dict[str, Any]) -> Any:
    name = output["name"]
    path = folder / f"{name}.share"
    try:
        content = path.read_bytes()
    except OSError:
        raise Failure(SHARES_UNFIT, f"The share of {name} did not come.") from None
    if sha256(content) != output["sha256"]:
        raise Failure(SHARES_UNFIT, f"The share of {name} is not the one in the manifest.")
    share = unpack(content, f"The share of {name}")
    meta = libspu.ValueMeta()
    meta.ParseFromString(share.meta)
    if list(meta.shape.dims if hasattr(meta.shape, "dims") else meta.shape) != output["shape"]:
        raise Failure(SHARES_UNFIT, f"The share of {name} has another shape than listed.")
    if meta.data_type != DTYPES.get(output["dtype"]):
        raise Failure(SHARES_UNFIT, f"The share of {name} has another type than listed.")
    return share


def _checked(values: Any, output: dict[str, Any], manifest: dict[str, Any]) -> np.ndarray:
    array = np.asarray(values).reshape(output["shape"])
    bound = output["bound"]
    if bound is None:
        bound = float(2 ** (FIELDS[manifest["field"]] - 2 * manifest["fraction_bits"] - 2))
    if not np.isfinite(array).all() or np.abs(array.astype(np.float64)).max(initial=0) > bound:
        raise Failure(
            RESULT_UNFIT,
            f"{output['name']} has values beyond {bound:g}: it was not computed right.",
        )
    return array
