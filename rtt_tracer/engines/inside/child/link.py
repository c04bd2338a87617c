"""The link to the other parties: brpc over unix sockets, which a relay beside us carries on."""

import contextlib
import hashlib
import json
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from spu import libspu

from .failure import LINK_FAILED, PREFLIGHT_MISMATCH, Failure
from .job import Job
from .pipes import Pipes

FOLDER = "link"
LOG = "relay.log"
MARGIN = 0.9
"""The engine's own time-outs stay this far below the supervisor's."""
STARTING = 0.6
"""The part of the time to get ready in which peers are waited for; the code comes before that."""


def connect(job: Job, pipes: Pipes) -> Any:
    """Return the link; raise `Failure` when a party does not come.

    Paths are relative to the work folder: a socket's path may have 107 bytes. brpc counts its
    attempts, not the time that they take, so the time is watched here.
    """
    desc = libspu.link.Desc()
    desc.id = "datatoken"
    for rank in range(job.world):
        desc.add_party(f"party-{rank}", f"unix:{FOLDER}/{rank}")
    milliseconds = int(job.seconds * MARGIN * 1000)
    desc.recv_timeout_ms = milliseconds
    desc.http_timeout_ms = milliseconds
    desc.connect_retry_interval_ms = 250
    desc.connect_retry_times = max(4, milliseconds // 2000)
    desc.throttle_window_size = 10
    retry = desc.retry_opts
    retry.max_retry, retry.retry_interval_ms, retry.retry_interval_incr_ms = 3, 200, 200
    patience = min(job.seconds, job.start_seconds * STARTING)
    watch = threading.Timer(patience, _too_late, (pipes,))
    watch.daemon = True
    watch.start()
    try:
        return libspu.link.create_brpc(desc, job.rank)
    except RuntimeError as error:
        raise Failure(LINK_FAILED, f"The link to the peers failed: {_why()}") from error
    finally:
        watch.cancel()


def _too_late(pipes: Pipes) -> None:
    pipes.failed(LINK_FAILED, f"The link to the peers failed: {_why()}")
    os._exit(1)


def preflight(link: Any, job: Job, parts: Sequence[bytes | str]) -> str:
    """Compare code, terms and agreed hash with all parties; return the common digest.

    No input has been set before this: a difference stops the run while each party holds
    nothing but what it was sent.
    """
    digest = hashlib.sha256(b"datatoken/spu/1\n")
    for part in (job.agreed, job.terms(), *parts):
        content = part.encode() if isinstance(part, str) else part
        digest.update(struct.pack("<Q", len(content)) + content)
    mine = digest.hexdigest()
    found = [bytes(one).decode("ascii", "replace") for one in _gathered(link, mine)]
    others = [rank for rank, theirs in enumerate(found) if theirs != mine]
    if others:
        with contextlib.suppress(RuntimeError):
            link.stop_link()  # the others must get what they compare
        raise Failure(
            PREFLIGHT_MISMATCH,
            f"Rank {', '.join(map(str, others))} holds another program, configuration or "
            "agreement than this party.",
        )
    return "0x" + mine


def _gathered(link: Any, text: str) -> list[bytes]:
    try:
        return [one.encode() if isinstance(one, str) else one for one in link.all_gather(text)]
    except RuntimeError as error:
        raise Failure(LINK_FAILED, f"The link to the peers failed: {_why()}") from error


def bytes_sent() -> int:
    """Return how many bytes the relay has sent to the peers."""
    try:
        sent, _ = struct.unpack("<QQ", Path(FOLDER, "statistics").read_bytes())
    except (OSError, struct.error):
        return 0
    return int(sent)


def _why() -> str:
    """Return the relay's last word."""
    try:
        lines = Path(LOG).read_text(encoding="utf-8").strip().splitlines()
    except OSError:
        lines = []
    return json.dumps(lines[-1])[1:-1] if lines else "a peer did not come in time or went away."
