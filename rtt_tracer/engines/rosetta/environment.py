"""Builds the Rosetta engine's environment: CPython 3.6, TensorFlow 1.14, libssl 1.1.

    python rtt_tracer/engines/rosetta/environment.py .engines/rosetta

Standard library only, so that it runs before anything of ours is installed. Every package
is pinned by hash in ``requirements.txt`` beside this file. Repeating it is safe: what is
complete stays, what is half done is done again.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parent / "requirements.txt"
STAMP = ".complete"
INSTALLERS = ("pip", "setuptools", "wheel")
LIBRARIES = ("libssl", "libcrypto")
VARIABLE = "ROSETTA_PYTHON"
HINT = (
    f"Set {VARIABLE} to a CPython 3.6 for Linux x86_64, or install one with pyenv: "
    "pyenv install 3.6.15."
)
WHICH = "import platform, sys; print(platform.python_implementation(), *sys.version_info[:2])"


class EnvironmentProblem(Exception):  # noqa: N818 - said to a person, caught in main
    """Why the environment can't be built, and what to do."""


def find_python(environ: Mapping[str, str]) -> Path:
    """Return a CPython 3.6: of ROSETTA_PYTHON, of pyenv, or on the PATH.

    Raises
    ------
    EnvironmentProblem
        When there is none, or the one that the variable names is none.
    """
    if named := environ.get(VARIABLE):
        if not _is_cpython36(Path(named)):
            raise EnvironmentProblem(f"{VARIABLE} is {named}, which is no CPython 3.6. {HINT}")
        return Path(named)
    for path in _candidates(environ):
        if _is_cpython36(path):
            return path
    raise EnvironmentProblem(f"No CPython 3.6 was found, which Rosetta needs. {HINT}")


def build(python: Path, folder: Path) -> None:
    """Build the environment in `folder`, unless it is complete.

    Raises
    ------
    EnvironmentProblem
        When a step fails, with what it said.
    """
    wanted = hashlib.sha256(REQUIREMENTS.read_bytes() + Path(__file__).read_bytes()).hexdigest()
    stamp = folder / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        raise EnvironmentProblem("Rosetta has wheels for Linux on x86_64 only.")
    if folder.exists():
        shutil.rmtree(folder)
    _run("make a virtual environment", [str(python), "-m", "venv", str(folder)])
    own = folder / "bin" / "python"
    first = folder / "installers.txt"
    first.write_text("".join(_of_installers(REQUIREMENTS.read_text())))
    for requirements in (first, REQUIREMENTS):
        _install(own, requirements)
    _link_libraries(folder)
    _run("load Rosetta", [str(own), "-W", "ignore", "-c", "import latticex.rosetta"], folder)
    stamp.write_text(wanted)


def _candidates(environ: Mapping[str, str]) -> Iterator[Path]:
    root = Path(environ.get("PYENV_ROOT") or Path(environ.get("HOME", "/")) / ".pyenv")
    yield from sorted(root.glob("versions/3.6*/bin/python3.6"), reverse=True)
    if found := shutil.which("python3.6", path=environ.get("PATH", "")):
        yield Path(found)


def _is_cpython36(path: Path) -> bool:
    try:
        done = subprocess.run([path, "-I", "-c", WHICH], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.split() == ["CPython", "3", "6"]


def _of_installers(text: str) -> Iterator[str]:
    """Yield the requirements of what installs the others."""
    lines = iter(text.splitlines(keepends=True))
    for line in lines:
        if line.split("==")[0] in INSTALLERS:
            yield line + next(lines)


def _install(python: Path, requirements: Path) -> None:
    pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    flags = ["--no-deps", "--require-hashes", "--no-build-isolation"]
    _run("install the packages", [*pip, *flags, "-r", str(requirements)])


def _link_libraries(folder: Path) -> None:
    """Name the wheel's OpenSSL 1.1 as Rosetta asks for it.

    Links, not copies: libssl also asks for libcrypto by the wheel's own name, and the loader
    takes two names of one file for one library.
    """
    (folder / "lib").mkdir(exist_ok=True)
    carried = folder / "lib/python3.6/site-packages/psycopg2_binary.libs"
    for name in LIBRARIES:
        found = sorted(carried.glob(f"{name}-*.so.1.1"))
        if not found:
            raise EnvironmentProblem(f"The wheel of psycopg2-binary carries no {name}.so.1.1.")
        link = folder / "lib" / f"{name}.so.1.1"
        link.symlink_to(os.path.relpath(found[0], link.parent))


def _run(what: str, command: list[str], folder: Path | None = None) -> None:
    environ = dict(os.environ)
    environ.pop("PYTHONPATH", None)
    if folder is not None:
        environ["LD_LIBRARY_PATH"] = str(folder.resolve() / "lib")
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environ)
    except OSError as error:
        raise EnvironmentProblem(f"Could not {what}: {error}.") from None
    if done.returncode:
        said = "\n".join((done.stdout + done.stderr).strip().splitlines()[-5:])
        raise EnvironmentProblem(f"Could not {what} (exit code {done.returncode}):\n{said}")


def main() -> int:
    """Build the environment in the folder named by the only argument."""
    if len(sys.argv) != 2:
        sys.stderr.write("usage: environment.py FOLDER\n")
        return 2
    folder = Path(sys.argv[1])
    try:
        build(find_python(os.environ), folder)
    except EnvironmentProblem as problem:
        sys.stderr.write(f"Rosetta: {problem}\n")
        return 8
    sys.stdout.write(f"The Rosetta engine is in {folder}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
