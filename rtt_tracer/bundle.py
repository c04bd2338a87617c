"""Bundles: the exact bytes of one MPC operation.

A bundle is a canonical archive of ``program.json`` and one Python package or module. All else
that is known of an operation stands in its `OperationDocument`.
"""

import json
import keyword
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from datatoken.archive import read_archive, write_archive
from datatoken.errors import BadInputError
from rtt_tracer.document import SOURCE, function_source, read_source
from rtt_tracer.program import MANIFEST, Program, parse_program

MAX_BUNDLE_BYTES = 1024 * 1024
SUFFIXES = {".py", ".json"}
_FORBIDDEN = {
    "child",  # our own code in the engine's process
    *("datatoken", "fl_edge", "rtt_tracer", "flwr", "spu", "jax", "jaxlib", "numpy", "scipy"),
    *("pandas", "sklearn", "tensorflow", "latticex", "rosetta"),
} | set(sys.stdlib_module_names)


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found sound; `files` are those of the package."""

    program: Program
    files: Mapping[str, bytes]


def read_bundle(content: bytes) -> Bundle:
    """Read a bundle's exact bytes.

    Raises
    ------
    BadInputError
        When anything about them is not as `write_bundle` makes it.
    """
    files = dict(read_archive(content, "bundle", MAX_BUNDLE_BYTES))
    if MANIFEST not in files:
        raise BadInputError(f"The bundle has no {MANIFEST}.")
    written = files.pop(MANIFEST)
    program = parse_program(written)
    if _manifest_bytes(program) != written:
        raise BadInputError(f"The bundle's {MANIFEST} is not in plain form.")
    _check_files(program, files)
    if list(files) != sorted(files):
        raise BadInputError("The bundle's files are not sorted.")
    return Bundle(program, files)


def write_bundle(program: Program, files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a bundle; `files` are named from the package or module on."""
    _check_files(program, files)
    content = write_archive([(MANIFEST, _manifest_bytes(program)), *sorted(files.items())])
    if len(content) > MAX_BUNDLE_BYTES:
        raise BadInputError(
            f"The bundle has {len(content)} bytes; {MAX_BUNDLE_BYTES} are allowed.",
            "Keep weights and data out of the operation's folder.",
        )
    return content


def unpack_bundle(content: bytes, folder: Path) -> Program:
    """Write a bundle's files, ``program.json`` too, into a new `folder`; return its program.

    Raises
    ------
    BadInputError
        When the bundle is unsound.
    """
    bundle = read_bundle(content)
    folder.mkdir(parents=True)
    for name, body in {MANIFEST: _manifest_bytes(bundle.program), **bundle.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
    return bundle.program


def bundle_folder(folder: Path) -> bytes:
    """Return the bundle of a folder that holds ``operation.json`` and a package's modules.

    The folder's own name is the package's. Modules, JSON files and sub-packages go in;
    caches, hidden files and ``operation.json`` stay out; a link is refused.
    """
    folder = folder.resolve()
    source = read_source(folder)
    return write_bundle(source.as_program(folder.name), dict(_package_files(folder)))


def bundle_function(path: Path, function: str) -> bytes:
    """Return the bundle of one JAX function of a user's own file, which stays as it is.

    `rtt_tracer.document.function_source` gives its document.
    """
    source = function_source(path, function)
    return write_bundle(source.as_program(path.stem), {path.name: path.read_bytes()})


def _manifest_bytes(program: Program) -> bytes:
    """Return sorted, compact JSON; not JCS, which would turn a bound of 1.0 into an int."""
    plain = program.model_dump(mode="json", exclude_none=True)
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _check_files(program: Program, files: Mapping[str, bytes]) -> None:
    package = program.package
    if package in _FORBIDDEN or keyword.iskeyword(package):
        raise BadInputError(
            f"The package name {package} is taken.", "Give the operation's folder another name."
        )
    for name in files:
        inside = name == f"{package}.py" or name.startswith(f"{package}/")
        if not inside or Path(name).suffix not in SUFFIXES:
            raise BadInputError(f"The bundle's file {name!r} is no part of package {package}.")
    if (f"{package}.py" in files) == (f"{package}/__init__.py" in files):
        raise BadInputError(f"The bundle must have either {package}.py or {package}/__init__.py.")
    point = program.entry_point
    path = point if point.endswith(".py") else point.partition(":")[0].replace(".", "/")
    if not files.keys() & {path, f"{path}.py", f"{path}/__init__.py"}:
        raise BadInputError(f"The entry point {point} is not in the bundle.")


def _package_files(folder: Path) -> list[tuple[str, bytes]]:
    found = []
    for path in sorted(folder.rglob("*")):
        inner = path.relative_to(folder)
        if any(part.startswith(".") or part == "__pycache__" for part in inner.parts):
            continue
        if path.is_symlink():
            raise BadInputError(f"{path} is a link.", "Put the file itself into the folder.")
        if path.is_file() and path.suffix in SUFFIXES and inner != Path(SOURCE):
            found.append((f"{folder.name}/{inner.as_posix()}", path.read_bytes()))
    return found
