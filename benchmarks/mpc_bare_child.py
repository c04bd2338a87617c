"""SPU's process on a link of SPU's own: brpc over TCP with mutual TLS, as SPU offers it.

Started in the work folder of one party by `benchmarks.mpc_bare.OwnLink`, in the engine's
environment: the very code that a governed process runs, but for the link. Nothing here protects
the link's port against plain text, which brpc takes beside TLS: bare means bare.
"""

import json
import sys
from pathlib import Path
from typing import Any

ENDPOINTS = "endpoints.json"
RETRIES, RETRY_MS = 240, 250


def connect(job: Any, pipes: Any) -> Any:
    """Return the link to the other parties, with pinned certificates."""
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
    for options in (desc.client_ssl_opts, desc.server_ssl_opts):
        options.cert.certificate_path = "tls/certificate.pem"
        options.cert.private_key_path = "tls/key.pem"
        options.verify.ca_file_path = "tls/peers.pem"
        options.verify.verify_depth = 1
    desc.enable_ssl = True
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
