"""The child's main: one role, one job."""

import os
import sys
import traceback
from pathlib import Path

from .failure import ENGINE_FAILED, Failure
from .job import JOB, Job
from .pipes import Pipes


def main() -> None:
    """Do the job in this folder; every end is told to the supervisor.

    Ends without the interpreter's own clean-up: the engine's threads may not survive it.
    """
    pipes = Pipes.inherited()
    status = 1
    try:
        run(Job.read(Path(JOB)), pipes)
        status = 0
    except Failure as failure:
        traceback.print_exc()
        pipes.failed(failure.code, failure.message)
    except SystemExit:
        pass
    except BaseException as error:
        traceback.print_exc()
        pipes.failed(ENGINE_FAILED, f"The engine failed ({type(error).__name__}); see its log.")
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def run(job: Job, pipes: Pipes) -> None:
    """Do one role's work; each one imports only what it needs."""
    if job.role == "spu.share":
        from .share import share

        share(job, pipes)
    elif job.role == "spu.compute":
        from .compute import compute

        compute(job, pipes)
    elif job.role == "spu.intersect":
        from .intersect import intersect

        intersect(job, pipes)
    elif job.role == "local":
        from .local import local

        local(job, pipes)
    else:
        raise Failure(ENGINE_FAILED, f"This engine has no role {job.role}.")
