"""How an engine starts the code in `rtt_tracer.engines.inside.child`: its ``job.json`` and argv."""

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from datatoken.errors import LocalEnvironmentError
from datatoken.text import clean
from rtt_tracer.engines.base import EngineJob
from rtt_tracer.program import Program

HERE = Path(__file__).resolve().parent
CODE = HERE / "inside"
"""What a child must be able to read: Python lists the folder that holds its package."""

BOOT = "import sys; sys.path.insert(0, sys.argv[1]); from child.{} import main; main()"
ASK_SECONDS = 60.0

_INSTALLED = (
    "import importlib.metadata as m, json, sys;"
    "print(json.dumps({'python': list(sys.version_info[:2]), 'installed':"
    " {d.metadata['Name'].lower().replace('_', '-'): d.version for d in m.distributions()}}))"
)


def argv(python: Path, module: str = "main") -> tuple[str, ...]:
    """Return the command line of a child: isolated, so that no variable or folder leads it."""
    return (str(python), "-I", "-B", "-c", BOOT.format(module), str(CODE))


def environment(folder: Path) -> dict[str, str]:
    """Return the whole environment of a child."""
    temporary = str(folder / "tmp")
    return {
        "HOME": temporary,
        "TMPDIR": temporary,
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "JAX_PLATFORMS": "cpu",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def write_job(job: EngineJob, program: Program) -> None:
    """Write ``job.json`` into the work folder; see `rtt_tracer.engines.inside.child.job.Job`."""
    plain: dict[str, Any] = {
        "role": job.role.value,
        "entry_point": job.entry_point,
        "agreed": job.agreed,
        "rank": -1 if job.rank is None else job.rank,
        "world": len(job.parties),
        "protocol": job.protocol,
        "parameters": dict(job.parameters),
        "party": -1 if job.column_owner is None else job.column_owner,
        "rows": job.rows,
        "arrays": program.arrays,
        "shapes": program.input_shapes(job.rows, job.shapes) if job.role.linked else {},
        "stages": program.stage_count(job.parameters),
        "outputs": {one.name: one.bound for one in program.outputs},
        "seconds": job.progress_seconds,
        "start_seconds": job.start_seconds,
        "endpoints": [f"{one} {_digest(one.certificate)}" for one in job.parties],
    }
    for name in ("tmp", "out/results"):
        (job.folder / name).mkdir(parents=True, exist_ok=True)
    (job.folder / "job.json").write_text(json.dumps(plain, indent=1), encoding="utf-8")


def _digest(certificate: str) -> str:
    return hashlib.sha256(certificate.encode()).hexdigest()


def ask(python: Path) -> Mapping[str, Any]:
    """Return ``python`` (its version) and ``installed`` (distribution → version).

    Raises
    ------
    LocalEnvironmentError
        When the interpreter does not run.
    """
    try:
        done = subprocess.run(
            [str(python), "-I", "-B", "-c", _INSTALLED],
            capture_output=True,
            timeout=ASK_SECONDS,
            check=True,
            env={"PATH": os.defpath},
        )
        found: Mapping[str, Any] = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise LocalEnvironmentError(
            f"The engine's interpreter {python} does not run: {type(error).__name__}."
        ) from None
    return found


def failure(python: Path, code: str) -> str | None:
    """Run some Python as a child would; return the last line of what is wrong, None when nothing.

    What is installed by name may still not load: a library of the system's can be missing.
    """
    try:
        done = subprocess.run(
            [str(python), "-I", "-B", "-c", code],
            capture_output=True,
            timeout=ASK_SECONDS,
            env={"PATH": os.defpath, "LANG": "C.UTF-8", "JAX_PLATFORMS": "cpu"},
        )
    except (OSError, subprocess.SubprocessError) as error:
        return type(error).__name__
    if done.returncode == 0:
        return None
    lines = done.stderr.decode(errors="replace").strip().splitlines()
    return clean(lines[-1])[:300] if lines else f"exit code {done.returncode}"
