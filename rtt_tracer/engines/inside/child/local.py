"""Role ``local``: computes on its owner's rows alone."""

import hashlib
import time
from pathlib import Path

import numpy as np

from .job import Job, guarded, named_arrays, read_table, write_values
from .pipes import Pipes

VALUES = Path("out/results/values.npz")


def local(job: Job, pipes: Pipes) -> None:
    """Run the operation on the table; its values stay in `VALUES`."""
    run = job.code()
    table = read_table()
    pipes.ready()
    pipes.wait(0)
    begun = time.monotonic()
    values = named_arrays(guarded(run, table, dict(job.parameters)), "The operation")
    write_values(VALUES, values)
    pipes.end(values_digest(values), {"seconds": time.monotonic() - begun, "bytes_sent": 0})


def values_digest(values: dict[str, np.ndarray]) -> str:
    """Return the sha256 of values: names, dtypes, shapes and little-endian bytes in order."""
    digest = hashlib.sha256(b"datatoken/values/1\n")
    for name in sorted(values):
        array = np.ascontiguousarray(values[name])
        array = array.astype(array.dtype.newbyteorder("<"))
        digest.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return "0x" + digest.hexdigest()
