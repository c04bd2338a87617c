"""The local engine: one process with the table, no network."""

import platform
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from datatoken.errors import LocalEnvironmentError
from rtt_tracer.engines.base import EngineJob, Launch
from rtt_tracer.engines.child_process import CODE, argv, ask, environment, write_job
from rtt_tracer.program import read_program


class LocalEngine:
    """Runs an operation with NumPy, and whatever else `python` has installed.

    Parameters
    ----------
    python : Path
        An interpreter; the SPU engine's does.
    """

    name = "local"

    def __init__(self, python: Path) -> None:
        self._python = python

    def missing(self) -> str | None:
        """Return why the engine can't run here, or None."""
        try:
            return None if "numpy" in self.installed() else f"{self._python} has no NumPy."
        except LocalEnvironmentError as error:
            return f"{error.message} Set it up (make spu), or name another one as engines.local."

    def version(self) -> str:
        """Return ``local`` and NumPy's version."""
        return f"local numpy {self.installed().get('numpy', 'none')} {platform.machine()}"

    def installed(self) -> Mapping[str, str]:
        """Return distribution → version in the interpreter's environment."""
        found: Mapping[str, str] = ask(self._python)["installed"]
        return found

    @contextmanager
    def prepare(self, job: EngineJob) -> Iterator[Launch]:
        """Write the job; nothing runs beside it."""
        write_job(job, read_program(job.folder / "bundle"))
        yield Launch(argv(self._python), environment(job.folder), readable=(CODE,))
