"""The Rosetta engine: how its processes are started, and how their results are opened."""

import json
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path

from datatoken.errors import BadInputError, LocalEnvironmentError
from rtt_tracer.engines.base import EngineJob, Launch, Role
from rtt_tracer.engines.child_process import environment
from rtt_tracer.engines.link import relay
from rtt_tracer.engines.rosetta import results
from rtt_tracer.engines.rosetta.preflight import PARTIES, Ports, check_job, hello, write_files
from rtt_tracer.program import read_program
from rtt_tracer.sandbox import Mechanism, probe

CODE = Path(__file__).resolve().parent / "inside"
BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from child.guardian import main; main()"
WANTED = ("latticex-rosetta", "tensorflow", "numpy", "pandas")
LIBRARIES = ("libssl.so.1.1", "libcrypto.so.1.1")
ASK_SECONDS = 60.0
_INSTALLED = (
    "import json, pkg_resources, re, sys;"
    "print(json.dumps({'python': list(sys.version_info[:2]), 'installed':"
    " {re.sub('[-_.]+', '-', d.project_name).lower(): d.version"
    " for d in pkg_resources.working_set}}))"
)


class RosettaEngine:
    """Rosetta in an environment of its own.

    Its process lives in a network that is empty: it binds 0.0.0.0, speaks plain TCP, and a
    stray connection ends it. A relay carries its connections over mutual TLS.

    Parameters
    ----------
    python : Path
        The environment's interpreter (CPython 3.6), such as ``.engines/rosetta/bin/python``.
    allow_unconfined : bool
        Run where the platform gives no network namespace: its port is then open to whoever
        reaches this host. For trials only.
    """

    name = "rosetta"

    def __init__(self, python: Path, *, allow_unconfined: bool = False) -> None:
        self._python, self._unconfined = python, allow_unconfined
        self._installed: Mapping[str, str] = {}

    def missing(self) -> str | None:
        """Return why the engine can't run here and what to do, or None when it can."""
        setup = "Set the Rosetta engine up: make rosetta."
        try:
            lacking = [name for name in WANTED if name not in self.installed()]
        except LocalEnvironmentError as error:
            return f"{error.message} {setup}"
        lacking += [name for name in LIBRARIES if not (self._libraries / name).exists()]
        if lacking:
            return f"{self._python} lacks {', '.join(lacking)}. {setup}"
        if not (self._confined or self._unconfined):
            return (
                "This platform gives no network namespaces, and Rosetta's port would be open to "
                "all. Allow them (or install bubblewrap), or set engines.allow_unconfined."
            )
        return None

    def version(self) -> str:
        """Return Rosetta's and TensorFlow's versions."""
        found = self.installed()
        rosetta, tensorflow = (found.get(name, "none") for name in WANTED[:2])
        return f"rosetta {rosetta} tensorflow {tensorflow}"

    def installed(self) -> Mapping[str, str]:
        """Return distribution → version in the engine's environment."""
        if not self._installed:
            self._installed = _ask(self._python)
        return self._installed

    @property
    def _libraries(self) -> Path:
        return self._python.parent.parent / "lib"

    @cached_property
    def _confined(self) -> bool:
        """Whether a process can be given a network of its own here."""
        return probe().has(Mechanism.PROCESSES)

    @contextmanager
    def prepare(self, job: EngineJob) -> Iterator[Launch]:
        """Write the job, start the relay, and say how to start the process.

        Raises
        ------
        BadInputError, LocalEnvironmentError
        """
        program = read_program(job.folder / "bundle")
        if program.role is not Role.ROSETTA or job.role is not Role.ROSETTA:
            raise BadInputError(f"The bundle's program is for {program.role}, not {Role.ROSETTA}.")
        rank = check_job(job)
        ports = Ports() if self._confined else self._open_ports()
        own, others = ports.by_rank[rank], tuple(ports.others(rank))
        write_files(job, program, ports)
        with relay(job, "rosetta", hello(job, program, self.version(), ports)):
            yield Launch(
                (str(self._python), "-I", "-B", "-W", "ignore", "-c", BOOT, str(CODE)),
                {**environment(job.folder), "LD_LIBRARY_PATH": str(self._libraries)},
                readable=(CODE,),
                bind=(own, *others) if ports.unconfined else (),
                connect=(own, *others) if ports.unconfined else (),
            )

    def _open_ports(self) -> Ports:
        """Return free ports of the host, where that is allowed."""
        if not self._unconfined:
            raise LocalEnvironmentError(
                "Rosetta can't be kept off the host's network here.",
                "Allow user namespaces or install bubblewrap, or set engines.allow_unconfined.",
            )
        with ExitStack() as stack:
            sockets = [stack.enter_context(socket.socket()) for _ in range(PARTIES)]
            for one in sockets:
                one.bind(("127.0.0.1", 0))
            return Ports(tuple(one.getsockname()[1] for one in sockets), unconfined=True)

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
        RunFailedError
            When the shares do not belong together, or a value is too large to be right.
        """
        results.reconstruct(shares, out)


def _ask(python: Path) -> Mapping[str, str]:
    try:
        done = subprocess.run(
            [str(python), "-I", "-B", "-W", "ignore", "-c", _INSTALLED],
            capture_output=True,
            timeout=ASK_SECONDS,
            check=True,
            env={"PATH": os.defpath},
        )
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise LocalEnvironmentError(
            f"The engine's interpreter {python} does not run: {type(error).__name__}."
        ) from None
    if found["python"] != [3, 6]:
        raise LocalEnvironmentError(f"{python} is no CPython 3.6, which Rosetta needs.")
    installed: Mapping[str, str] = found["installed"]
    return installed
