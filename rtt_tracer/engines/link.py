"""The relay beside a linked party: started before the engine, ended with the run."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatoken.errors import LocalEnvironmentError
from rtt_tracer.engines.base import EngineJob

HERE = Path(__file__).resolve().parent
BOOT = "import sys; sys.path.append(sys.argv[1]); from relay.main import main; main()"
FOLDER, LOG = "link", "relay.log"
END_SECONDS = 5.0


@contextmanager
def relay(
    job: EngineJob, manner: str = "unix", hello: Mapping[str, Any] | None = None
) -> Iterator[None]:
    """Carry the link of `job` between its work folder and the peers until the context ends.

    The link's key is read by the relay and then removed: the operation's code never sees it.

    Parameters
    ----------
    job : EngineJob
    manner : str
        ``unix`` (SPU) or ``rosetta``.
    hello : mapping, optional
        What a Rosetta party's relay says to its peers' before anything else.

    Raises
    ------
    LocalEnvironmentError
        When the link's port is taken.
    """
    folder = job.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700)
    (job.folder / LOG).unlink(missing_ok=True)
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-B", "-c", BOOT, str(HERE)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={},
        cwd=os.sep,
        start_new_session=True,  # a Ctrl-C is the supervisor's to handle
    )
    try:
        _configure(process, job, folder, {"manner": manner, "hello": dict(hello or {})})
        (job.folder / "tls" / "key.pem").unlink()
        yield
    finally:
        _end(process)


def _configure(
    process: "subprocess.Popen[bytes]", job: EngineJob, folder: Path, more: Mapping[str, Any]
) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    config = {
        **more,
        "folder": str(folder),
        "tls": str(job.folder / "tls"),
        "log": LOG,
        "rank": job.rank,
        "seconds": job.progress_seconds,
        "parties": [
            {"rank": one.rank, "host": one.host, "port": one.port, "certificate": one.certificate}
            for one in job.parties
        ],
    }
    process.stdin.write(json.dumps(config).encode() + b"\n")
    process.stdin.flush()
    line = process.stdout.readline()
    answer = json.loads(line) if line else {"error": "it ended at once"}
    if "error" in answer:
        raise LocalEnvironmentError(
            f"The link can't be opened: {answer['error']}.", "Choose other ports for this party."
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    try:
        process.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
