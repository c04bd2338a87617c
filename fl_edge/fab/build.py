"""The FAB: built from two registered bundles, the same bytes on every machine.

A gate rebuilds the FAB and compares it with the one presented, so nothing here may depend on
the version of flwr, on the clock or on the machine. The form (``pyproject.toml`` first, sorted
files, ``.info/CONTENT`` last) is the one that flwr 1.40 and 1.41 build and install.
"""

import math
import re
import tomllib
from collections.abc import Mapping
from typing import Any

from datatoken.archive import read_archive, write_archive
from datatoken.errors import BadInputError
from datatoken.types import Scalar, sha256_hex
from fl_edge.fab.bundle import RESERVED_PREFIX, Bundle, read_bundle

MAX_FAB_BYTES = 10 * 1024 * 1024
CONFIG, CONTENT = "pyproject.toml", ".info/CONTENT"
VERSION, PUBLISHER, FLWR = "1.0.0", "datatoken", "flwr>=1.40"
MAX_NAME = 32
_BARE = re.compile(r"[A-Za-z0-9_\-]+")
_ESCAPES = {"\b": "\\b", "\n": "\\n", "\f": "\\f", "\r": "\\r", '"': '\\"', "\\": "\\\\"}


def build_fab(client: bytes, server: bytes | None) -> bytes:
    """Return the FAB of a client and a server bundle, or of a foreign app.

    Parameters
    ----------
    client : bytes
        A client bundle, or, where `server` is None, the FAB bytes of a foreign app.
    server : bytes or None
        A server bundle.

    Raises
    ------
    BadInputError
        When a bundle is unsound, or the two do not fit together.
    """
    if server is None:
        read_fab(client)
        return client
    halves = read_bundle(client), read_bundle(server)
    _check_halves(*halves)
    files = {name: content for half in halves for name, content in half.files.items()}
    return write_fab(_pyproject(*halves), files)


def write_fab(pyproject: bytes, files: Mapping[str, bytes]) -> bytes:
    """Return the FAB of a ``pyproject.toml`` and files."""
    entries = [(CONFIG, pyproject), *sorted(files.items())]
    content = write_archive([*entries, (CONTENT, _content_list(dict(entries)))])
    if len(content) > MAX_FAB_BYTES:
        raise BadInputError(f"The FAB has {len(content)} bytes; {MAX_FAB_BYTES} are allowed.")
    return content


def read_fab(fab: bytes) -> Mapping[str, bytes]:
    """Return the files of a FAB by name, ``.info/CONTENT`` excepted.

    Raises
    ------
    BadInputError
        When the bytes are not exactly as a builder makes them of these files.
    """
    files = dict(read_archive(fab, "FAB", MAX_FAB_BYTES))
    listed = files.pop(CONTENT, None)
    if CONFIG not in files or listed is None:
        raise BadInputError(f"The FAB has no {CONFIG} or no {CONTENT}.")
    if listed != _content_list(files):
        raise BadInputError(f"The FAB's {CONTENT} does not list its files.")
    if any(name.startswith(".info/") for name in files):
        raise BadInputError("The FAB has a file in .info.")
    return files


def app_config(fab: bytes) -> dict[str, Any]:
    """Return the parsed ``pyproject.toml`` of a FAB, its ``[tool.flwr.app]`` table checked."""
    try:
        config = tomllib.loads(read_fab(fab)[CONFIG].decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadInputError(f"The FAB's {CONFIG} is not TOML: {error}.") from None
    app = config.get("tool", {}).get("flwr", {}).get("app")
    if not isinstance(app, dict) or not isinstance(app.get("components"), dict):
        raise BadInputError(f"The FAB's {CONFIG} has no [tool.flwr.app.components].")
    return config


def fab_defaults(fab: bytes) -> dict[str, Scalar]:
    """Return the default run configuration of a FAB, nested keys joined by dots."""
    table = app_config(fab)["tool"]["flwr"]["app"].get("config", {})
    if not isinstance(table, dict):
        raise BadInputError("The FAB's [tool.flwr.app.config] is no table.")
    found: dict[str, Scalar] = {}
    todo: list[tuple[str, Any]] = list(table.items())
    while todo:
        name, value = todo.pop(0)
        if isinstance(value, dict):
            todo = [(f"{name}.{key}", inner) for key, inner in value.items()] + todo
        elif name in found or name.startswith(RESERVED_PREFIX):
            raise BadInputError(f"The FAB's configuration key {name!r} is ambiguous or reserved.")
        else:
            found[name] = _scalar(name, value)
    return found


def effective_config(fab: bytes, overrides: Mapping[str, Scalar]) -> dict[str, Scalar]:
    """Return the run configuration that an app sees: the FAB's defaults and the overrides.

    The launcher, the SuperLink gate and the SuperNode gate all derive it here, from bytes.

    Raises
    ------
    BadInputError
        When an override is not declared, or of another type than its default (an int
        passes as a float).
    """
    config = fab_defaults(fab)
    for name, value in overrides.items():
        if name not in config:
            raise BadInputError(
                f"The app does not declare the parameter {name!r}.",
                f"It declares: {', '.join(sorted(config)) or 'none'}.",
            )
        default = config[name]
        if not (type(value) is type(default) or (type(value), type(default)) == (int, float)):
            raise BadInputError(
                f"The parameter {name!r} is of type {type(default).__name__}, "
                f"not {type(value).__name__}."
            )
        config[name] = _scalar(name, value)
    return config


def _scalar(name: str, value: Any) -> Scalar:
    if not isinstance(value, (bool, int, float, str)):
        raise BadInputError(f"The parameter {name!r} is no bool, int, float or str.")
    if isinstance(value, float) and not math.isfinite(value):
        raise BadInputError(f"The parameter {name!r} is not a finite number.")
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        raise BadInputError(f"The parameter {name!r} is beyond what JSON carries.")
    return value


def _check_halves(client: Bundle, server: Bundle) -> None:
    kinds = (client.manifest.kind, server.manifest.kind)
    if kinds != ("client", "server"):
        raise BadInputError(f"A FAB takes a client and a server bundle, not {' and '.join(kinds)}.")
    if client.manifest.package == server.manifest.package:
        raise BadInputError(f"Both bundles have a package {client.manifest.package}.")
    for key in client.manifest.config.keys() & server.manifest.config.keys():
        ours, theirs = client.manifest.config[key], server.manifest.config[key]
        if (type(ours), ours) != (type(theirs), theirs):
            raise BadInputError(f"The bundles have different defaults for {key!r}.")


def _content_list(files: Mapping[str, bytes]) -> bytes:
    lines = [f"{name},{sha256_hex(body)[2:]},{len(body) * 8}" for name, body in files.items()]
    return "\n".join(lines).encode()


def _pyproject(client: Bundle, server: Bundle) -> bytes:
    """Write the TOML by hand: a library's next version could write it in another way.

    It is the form of flwr 1.40 and 1.41, so that `flwr run` of the unpacked files sends these
    very bytes.
    """
    name = f"{client.manifest.name}-{server.manifest.name}"
    if len(name) > MAX_NAME:
        cut = (MAX_NAME - 1) // 2
        name = f"{client.manifest.name[:cut].rstrip('-')}-{server.manifest.name[:cut].rstrip('-')}"
    dependencies = [FLWR, *client.manifest.dependencies, *server.manifest.dependencies]
    config = dict(sorted({**client.manifest.config, **server.manifest.config}.items()))
    components = {**client.manifest.entry_points, **server.manifest.entry_points}
    lines = [
        "[project]",
        f"name = {_toml(name)}",
        f"version = {_toml(VERSION)}",
        "dependencies = [",
        *(f"    {_toml(text)}," for text in dict.fromkeys(dependencies)),
        "]",
        "",
        "[tool.flwr.app]",
        f"publisher = {_toml(PUBLISHER)}",
        "",
        "[tool.flwr.app.components]",
        *(f"{key} = {_toml(components[key])}" for key in sorted(components)),
        "",
        "[tool.flwr.app.config]",
        *(f"{_key(key)} = {_toml(value)}" for key, value in config.items()),
        "",
    ]
    return "\n".join(lines).encode()


def _toml(value: Scalar) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        return repr(value)
    escaped = "".join(
        _ESCAPES.get(char, f"\\u{ord(char):04x}" if _is_control(char) else char) for char in value
    )
    return f'"{escaped}"'


def _is_control(char: str) -> bool:
    return (ord(char) < 0x20 and char != "\t") or ord(char) == 0x7F


def _key(name: str) -> str:
    return name if _BARE.fullmatch(name) else _toml(name)
