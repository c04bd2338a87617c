"""SPU's process on SPU's own link: brpc on TCP, in plain text.

Started in the work folder of one party by `benchmarks.mpc_bare.PlainLink`, in the engine's
environment: the very code that a governed process runs, but for the link. Not with brpc's own
TLS: over many small messages it ends the process now and then ("Check failed: error_code is 0")
or hangs.
"""

import json
import sys
from pathlib import Path
from typing import Any

ENDPOINTS = "endpoints.json"
RETRIES, RETRY_MS = 240, 250


def connect(job: Any, pipes: Any) -> Any:
    """Return the link to the other parties."""
    from spu import libspu

    desc = libspu.link.Desc()
    desc.id = "bare"
    for rank, address in enumerate(json.loads(Path(ENDPOINTS).read_text(encoding="utf-8"))):
        desc.add_party(f"party-{rank}", address)
    milliseconds = int(job.seconds * 1000)
    desc.recv_timeout_ms = milliseconds
    desc.http_timeout_ms = milliseconds
    desc.connect_retry_interval_ms = RETRY_MS
    desc.connect_retry_times = RETRIES
    desc.throttle_window_size = 10
    return libspu.link.create_brpc(desc, job.rank)


def main() -> None:
    """Run the engine's child with this link."""
    from child import compute
    from child.main import main as run

    compute.connect = connect
    run()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    main()
