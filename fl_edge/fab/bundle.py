"""Bundles: the exact bytes of one client-side or server-side operation.

A bundle is a canonical archive of ``manifest.json`` and one Python package. The manifest
names kind, package, entry points, the default run configuration and the dependencies; all
else that is known of an operation stands in its `OperationDocument`.
"""

import json
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.archive import read_archive, write_archive
from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.operation import ReplyPolicy, Reveal
from datatoken.ddo.terms import ParameterName, ParameterSpec
from datatoken.errors import BadInputError
from datatoken.types import MessageKind, Model, Scalar

MANIFEST = "manifest.json"
SOURCE = "operation.json"
"""In a folder of operation code: the manifest and the document's fields, written by hand."""

MAX_BUNDLE_BYTES = 1024 * 1024
MAX_MANIFEST_BYTES = 64 * 1024
SUFFIXES = {".py", ".json"}
ENTRY_POINTS = {"client": "clientapp", "server": "serverapp"}
RESERVED_PREFIX = "datatoken-"
"""Run-config keys that the launchers add and gates take out."""

PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
OperationName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9\-]{0,63}$")]
EntryPoint = Annotated[str, StringConstraints(pattern=r"^[a-z_][\w.]*:[A-Za-z_]\w*$")]
Dependency = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][\w.\-\[\],<>=!~ ]{0,99}$")]
_FORBIDDEN = {"flwr", "flower", "datatoken", "fl_edge", "rtt_tracer"} | set(sys.stdlib_module_names)


class Manifest(Model):
    """What a bundle says of itself."""

    format: Literal[1] = 1
    name: OperationName
    kind: Literal["client", "server"]
    package: PackageName
    entry_points: dict[str, EntryPoint]
    config: dict[ParameterName, Scalar] = {}
    dependencies: list[Dependency] = []

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.package in _FORBIDDEN or keyword.iskeyword(self.package):
            raise ValueError(f"the package name {self.package} is taken")
        if list(self.entry_points) != [ENTRY_POINTS[self.kind]]:
            raise ValueError(
                f"a {self.kind} bundle has the one entry point {ENTRY_POINTS[self.kind]}"
            )
        for reference in self.entry_points.values():
            if not re.match(rf"{self.package}[.:]", reference):
                raise ValueError(f"the entry point {reference} is outside the package")
        for key in self.config:
            if key.startswith(RESERVED_PREFIX):
                raise ValueError(f"the configuration key {key} is reserved")
        return self


class OperationSource(Model):
    """``operation.json`` in a folder of operation code, written by hand."""

    name: OperationName
    kind: Literal["client", "server"]
    description: str = Field(default="", max_length=4096)
    entry_points: dict[str, EntryPoint]
    config: dict[ParameterName, Scalar] = {}
    dependencies: list[Dependency] = []
    parameters: dict[ParameterName, ParameterSpec] = {}
    records: dict[ParameterName, ParameterSpec] = {}
    messages: list[MessageKind] = []
    replies: ReplyPolicy = ReplyPolicy()
    reveals: list[Reveal] = []


@dataclass(frozen=True)
class Bundle:
    """A bundle that was read and found sound; `files` are those of the package."""

    manifest: Manifest
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
    plain = parse_json(written, "bundle manifest", MAX_MANIFEST_BYTES)
    manifest = validate(Manifest, plain, "bundle manifest")
    if _manifest_bytes(manifest) != written:
        raise BadInputError("The bundle manifest is not in plain form.")
    _check_files(manifest, files)
    if list(files) != sorted(files):
        raise BadInputError("The bundle's files are not sorted.")
    return Bundle(manifest, files)


def write_bundle(manifest: Manifest, files: Mapping[str, bytes]) -> bytes:
    """Return the bytes of a bundle; `files` are named from the package folder on."""
    _check_files(manifest, files)
    content = write_archive([(MANIFEST, _manifest_bytes(manifest)), *sorted(files.items())])
    if len(content) > MAX_BUNDLE_BYTES:
        raise BadInputError(
            f"The bundle has {len(content)} bytes; {MAX_BUNDLE_BYTES} are allowed.",
            "Keep weights and data out of the operation's folder.",
        )
    return content


def _manifest_bytes(manifest: Manifest) -> bytes:
    """Return sorted, compact JSON; not JCS, which would turn the default 1.0 into an int."""
    plain = manifest.model_dump(mode="json")
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode()


def _check_files(manifest: Manifest, files: Mapping[str, bytes]) -> None:
    package = manifest.package
    for name in files:
        if not name.startswith(f"{package}/") or Path(name).suffix not in SUFFIXES:
            raise BadInputError(f"The bundle's file {name!r} is no part of package {package}.")
    if f"{package}/__init__.py" not in files:
        raise BadInputError(f"The bundle has no {package}/__init__.py.")
    for reference in manifest.entry_points.values():
        path = reference.partition(":")[0].replace(".", "/")
        if f"{path}.py" not in files and f"{path}/__init__.py" not in files:
            raise BadInputError(f"The entry point {reference} is not in the bundle.")


def read_source(folder: Path) -> OperationSource:
    """Read ``operation.json`` of a folder of operation code."""
    path = folder / SOURCE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path} can't be read: {error.strerror}.") from None
    plain = parse_json(content, SOURCE, MAX_MANIFEST_BYTES)
    return validate(OperationSource, plain, SOURCE)


def bundle_folder(folder: Path) -> bytes:
    """Return the bundle of a folder that holds ``operation.json`` and a package's modules.

    The folder's own name is the package's. Modules, JSON files and sub-packages go in;
    caches, hidden files and ``operation.json`` stay out; a link is refused.
    """
    folder = folder.resolve()
    source = read_source(folder)
    manifest = validate(
        Manifest,
        {
            "name": source.name,
            "kind": source.kind,
            "package": folder.name,
            "entry_points": source.entry_points,
            "config": source.config,
            "dependencies": source.dependencies,
        },
        SOURCE,
    )
    return write_bundle(manifest, dict(_package_files(folder)))


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
