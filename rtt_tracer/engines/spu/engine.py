"""The SPU engine: how its processes are started, and how their results are opened."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path

from datatoken.errors import BadInputError, LocalEnvironmentError
from rtt_tracer.engines.base import EngineJob, Launch
from rtt_tracer.engines.child_process import CODE, argv, ask, environment, failure, write_job
from rtt_tracer.engines.link import relay
from rtt_tracer.engines.spu.opening import put_together
from rtt_tracer.program import read_program

WANTED = ("spu", "jax", "jaxlib", "numpy")
_LOAD = (
    "import ctypes, importlib.util as u, pathlib;"
    "ctypes.CDLL(str(pathlib.Path(u.find_spec('spu').origin).with_name('libspu.so')))"
)
"""Loads the library alone, in a fraction of a second: the libraries of the system that it needs."""


class SpuEngine:
    """SPU in an environment of its own.

    A linked process has no network: brpc's port would take plain text beside TLS. It talks
    over unix sockets in its work folder, and a relay carries them over mutual TLS.

    Parameters
    ----------
    python : Path
        The environment's interpreter, such as ``.engines/spu/bin/python``.
    """

    name = "spu"

    def __init__(self, python: Path) -> None:
        self._python = python
        self._installed: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """Return why the engine can't run here and what to do, or None when it can."""
        return self._absent() or self._broken(_LOAD)

    def broken(self) -> str | None:
        """Import all of an environment that is there, which takes seconds; return what fails."""
        return None if self._absent() else self._broken("import spu")

    def _absent(self) -> str | None:
        try:
            lacking = [name for name in WANTED if name not in self.installed()]
        except LocalEnvironmentError as error:
            return f"{error.message} Set the SPU engine up: make spu."
        if lacking:
            return f"{self._python} lacks {', '.join(lacking)}. Set the SPU engine up: make spu."
        return None

    def _broken(self, code: str) -> str | None:
        why = failure(self._python, code)
        if why is None:
            return None
        hint = "Install libgomp1." if "libgomp" in why else "Set the SPU engine up: make spu."
        return f"SPU is in {self._python}, and does not load: {why.rstrip('.')}. {hint}"

    def version(self) -> str:
        """Return SPU's and JAX's versions: both decide which code comes out."""
        installed = self.installed()
        return f"spu {installed.get('spu', 'none')} jax {installed.get('jax', 'none')}"

    def installed(self) -> Mapping[str, str]:
        """Return distribution → version in the engine's environment."""
        if not self._installed:
            self._installed = ask(self._python)["installed"]
        return self._installed

    @contextmanager
    def prepare(self, job: EngineJob) -> Iterator[Launch]:
        """Write the job, start the relay of a linked party, and say how to start the process.

        Raises
        ------
        BadInputError, LocalEnvironmentError
        """
        program = read_program(job.folder / "bundle")
        if program.role is not job.role:
            raise BadInputError(f"The bundle's program is for {program.role}, not {job.role}.")
        write_job(job, program)
        with relay(job) if job.role.linked else nullcontext():
            yield Launch(argv(self._python), environment(job.folder), readable=(CODE,))

    def reconstruct(self, shares: Sequence[Path], out: Path) -> None:
        """Open results.

        Parameters
        ----------
        shares : sequence of Path
            One folder by rank, as `check_results` accepts it.
        out : Path
            An ``.npz`` file to write.

        Raises
        ------
        BadInputError, LocalEnvironmentError
        RunFailedError
            When the shares do not belong together, or a value is not finite or beyond its bound.
        """
        put_together(self._python, shares, out)
