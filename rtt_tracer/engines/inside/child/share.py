"""Role ``spu.share``: rows become one share for each compute party. No network."""

import time
from pathlib import Path

import numpy as np
import spu

from .commitments import commit, fresh_salt, listing, sha256
from .failure import OPERATION_UNFIT, Failure
from .job import Job, guarded, named_arrays, read_table
from .pipes import Pipes
from .setting import largest, runtime_config
from .wire import pack

SALT = "out/results/salt"


def share(job: Job, pipes: Pipes) -> None:
    """Encode the rows, tell the columns, and on ``go`` 0 write the shares.

    The rows are encoded before the parties have agreed, since the columns that come out are
    part of what they agree on; nothing leaves this folder before the order.
    """
    config = runtime_config(job.protocol, job.world, job.parameters)
    encoded = encode(job)
    columns = [encoded[name].shape[1] if name in encoded else 0 for name in job.arrays]
    pipes.ready({f"columns.{index}": width for index, width in enumerate(columns)})
    pipes.wait(0)
    begun = time.monotonic()
    io = spu.Io(job.world, config)
    digests = {}
    for name, array in encoded.items():
        made = io.make_shares(array, spu.Visibility.VIS_SECRET)
        for rank, one in enumerate(made):
            folder = Path(f"out/to-{rank}")
            folder.mkdir(parents=True, exist_ok=True)
            content = pack(one)
            (folder / f"{name}{job.party}").write_bytes(content)
            digests[f"{rank}/{name}{job.party}"] = sha256(content)
    salt = fresh_salt()
    Path(SALT).write_bytes(salt)
    pipes.checkpoint(0, commit(salt, listing(digests)))
    pipes.end(job.agreed, {"seconds": time.monotonic() - begun, "bytes_sent": 0})


def encode(job: Job) -> dict[str, np.ndarray]:
    """Return what the operation makes of the rows: rows × columns, float32, in the ring's range."""
    table = read_table()
    given = guarded(job.code(), table, dict(job.parameters), job.party)
    found = {}
    for name, array in named_arrays(given, "share()").items():
        if name not in job.arrays:
            raise Failure(
                OPERATION_UNFIT, f"share() gave {name!r}, which the program doesn't name."
            )
        wide = array.reshape(-1, 1) if array.ndim == 1 else array
        if wide.ndim != 2 or wide.shape[0] != job.rows or not wide.shape[1]:
            raise Failure(
                OPERATION_UNFIT,
                f"share() gave {name!r} of shape {array.shape}; the table has {job.rows} rows.",
            )
        narrow = np.ascontiguousarray(wide, dtype=np.float32)
        if not np.isfinite(narrow).all() or np.abs(narrow).max(initial=0) > largest(job.parameters):
            raise Failure(OPERATION_UNFIT, f"share() gave {name!r} with values beyond the ring.")
        found[name] = narrow
    if not found:
        raise Failure(OPERATION_UNFIT, "share() gave no array.")
    return found
