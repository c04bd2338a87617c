"""A user's Rosetta script as an operation: its document is read off the script, which stays.

Nothing is run. The script's own calls say which files it reads (`PrivateDataset`) and what it
reveals to whom (`SecureReveal`); where they are too clever for that, the document says less,
and ``rtt-tracer publish --document`` can say more.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datatoken.ddo.canonical import validate
from datatoken.errors import BadInputError
from rtt_tracer.bundle import write_bundle
from rtt_tracer.document import OperationSource
from rtt_tracer.engines.base import Role

LIBRARY, PROTOCOL = "latticex.rosetta", "SecureNN"
LANGUAGE = (3, 6)
RANK = "{rank}"
"""Stands for a party's number in the names of files."""

OWN_FILES = {"x": f"dsets/P{RANK}/x.csv", "y": f"dsets/P{RANK}/y.csv"}
"""Where a party's rows are put when the script does not say plainly where it reads them."""

READERS = {"load_data": ("x", "y"), "load_X": ("x",), "load_y": ("y",)}
REVEALED_AT_MOST = 32
_EVERYBODY = 0b111


def script_source(path: Path) -> OperationSource:
    """Describe a Rosetta script, which is published unchanged.

    Raises
    ------
    BadInputError
        When it is no Python of Rosetta's version, no Rosetta script, or activates another
        protocol than SecureNN.
    """
    tree = _parse(path)
    _check(tree, path)
    package = _package(path)
    description = ast.get_docstring(tree) or f"{path.name}, a script for Rosetta."
    plain = {
        "name": re.sub(r"[^A-Za-z0-9]+", "-", path.stem).strip("-")[:64] or "script",
        "description": description[:4096],
        "entry_points": {Role.ROSETTA: f"{package}.py"},
        "parameters": _parameters(tree),
        "messages": ["train", "query"],
        "reveals": list(_reveals(tree)),
        "program": {"arrays": ["x", "y"], "stages": 0},
    }
    return validate(OperationSource, plain, f"script {path.name}")


def bundle_script(path: Path) -> bytes:
    """Return the bundle of a Rosetta script: its bytes as they are; raise `BadInputError`."""
    program = script_source(path).as_program(_package(path))
    return write_bundle(program, {f"{program.package}.py": path.read_bytes()})


def _package(path: Path) -> str:
    """Return the script's name as a module's: ``rtt-mean.py`` is ``rtt_mean``."""
    plain = re.sub(r"[^a-z0-9_]+", "_", path.stem.lower()).strip("_")
    return plain if plain[:1].isalpha() else f"script_{plain}"


def _parse(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_bytes(), feature_version=LANGUAGE)
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInputError(
            f"{path} can't be read as Python {LANGUAGE[0]}.{LANGUAGE[1]}: {error}.",
            "Rosetta runs in CPython 3.6: newer syntax can't be used there.",
        ) from None


def _check(tree: ast.Module, path: Path) -> None:
    imported = set(_imported(tree))
    if LIBRARY not in imported:
        raise BadInputError(
            f"{path} does not import {LIBRARY}.",
            "A function for SPU is published as file.py:function, a folder by its name.",
        )
    for name in sorted({name.partition(".")[0] for name in imported}):
        if any((path.parent / found).exists() for found in (f"{name}.py", f"{name}/__init__.py")):
            raise BadInputError(
                f"{path} imports {name}, which lies beside it: a script is one file.",
                "Make a folder of modules with operation.json, and publish that.",
            )
    for call in _calls(tree, "private_console_input"):
        raise BadInputError(
            f"{path} asks at a console (line {call.lineno}), and a party has none.",
            "Read the owner's rows from a file: PrivateDataset(…).load_data(file_x, file_y).",
        )
    for call in _calls(tree, "activate"):
        wanted = call.args[0] if call.args else None
        if isinstance(wanted, ast.Constant) and wanted.value not in (PROTOCOL, None):
            raise BadInputError(
                f"{path} activates {wanted.value!r}.", f"Here Rosetta runs {PROTOCOL} only."
            )


def _imported(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _parameters(tree: ast.Module) -> dict[str, dict[str, Any]]:
    files, label = _files(tree), _label_party(tree)
    return {
        "columns": {
            "type": "str",
            "default": "",
            "max_length": 4000,
            "description": "Names of the columns that take part, separated by commas, in the "
            "order of their names; empty: all of the owner's table.",
        },
        "label": {
            "type": "str",
            "default": "",
            "max_length": 128,
            "description": "Column that stands in the script's file of labels, and in no other; "
            "empty: none.",
        },
        "label-party": {
            "type": "int",
            "minimum": 0,
            "maximum": 2,
            "default": label,
            "description": "Which input party's label column counts, in the order of the "
            "algorithm's children.",
        },
        # One value each: a requester has no say in where files are written.
        "x-file": {
            "type": "str",
            "enum": [files["x"]],
            "default": files["x"],
            "description": "Where the script finds its owner's columns.",
        },
        "y-file": {
            "type": "str",
            "enum": [files["y"]],
            "default": files["y"],
            "description": "Where the script finds the labels.",
        },
    }


def _files(tree: ast.Module) -> dict[str, str]:
    """Return where the script reads rows and labels."""
    known, found = _assigned(tree), dict(OWN_FILES)
    for method, kinds in READERS.items():
        for call in _calls(tree, method):
            for kind, argument in zip(kinds, call.args, strict=False):
                if text := _text(argument, known):
                    found[kind] = text
    return found


def _label_party(tree: ast.Module) -> int:
    for call in _calls(tree, "PrivateDataset"):
        given = {word.arg: word.value for word in call.keywords}
        value = given.get("label_owner", call.args[1] if len(call.args) > 1 else None)
        if isinstance(value, ast.Constant) and isinstance(value.value, int):
            return value.value if value.value in (0, 1, 2) else 0
    return 0


def _reveals(tree: ast.Module) -> Iterator[dict[str, str]]:
    calls = list(_calls(tree, "SecureReveal"))
    if not calls:
        yield {"what": "nothing but that the script has ended", "to": "all parties of the run"}
    for call in calls[:REVEALED_AT_MOST]:
        given = {word.arg: word.value for word in call.keywords}
        what = ast.unparse(call.args[0])[:200] if call.args else "a value"
        mask = given.get("receive_parties", call.args[1] if len(call.args) > 1 else None)
        yield {"what": f"{what} (line {call.lineno})", "to": _receivers(mask)}
    if len(calls) > REVEALED_AT_MOST:
        yield {"what": "more: see the script", "to": "the parties that the script chooses"}


def _receivers(mask: ast.expr | None) -> str:
    if mask is None:
        return "all parties of the run"
    try:
        value = ast.literal_eval(mask)
    except ValueError:
        return "the parties that the script chooses"
    if not isinstance(value, int) or value & _EVERYBODY == _EVERYBODY:
        return "all parties of the run"
    ranks = [str(rank) for rank in range(3) if value >> rank & 1]
    return f"the party of rank {' and '.join(ranks)}" if ranks else "nobody"


def _calls(tree: ast.Module, name: str) -> Iterator[ast.Call]:
    """Yield the calls of a function or method of some name, in the order of lines."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    for call in sorted(found, key=lambda call: (call.lineno, call.col_offset)):
        function = call.func
        if (isinstance(function, ast.Attribute) and function.attr == name) or (
            isinstance(function, ast.Name) and function.id == name
        ):
            yield call


def _assigned(tree: ast.Module) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def _text(node: ast.expr, known: dict[str, ast.expr], depth: int = 8) -> str:
    """Return the text that an expression gives at a party, the party's number as `RANK`."""
    if depth == 0:
        return ""
    if isinstance(node, ast.Constant):
        return node.value if isinstance(node.value, str) else ""
    if isinstance(node, ast.Name):
        return _text(known[node.id], known, depth - 1) if node.id in known else ""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        parts = [_text(side, known, depth - 1) for side in (node.left, node.right)]
        return "".join(parts) if all(parts) else ""
    if isinstance(node, ast.JoinedStr):
        return _joined(node, known, depth)
    if isinstance(node, ast.Call):
        return _called(node, known, depth)
    return ""


def _joined(node: ast.JoinedStr, known: dict[str, ast.expr], depth: int) -> str:
    parts = [
        _text(part.value if isinstance(part, ast.FormattedValue) else part, known, depth - 1)
        for part in node.values
    ]
    return "".join(parts) if all(parts) else ""


def _called(node: ast.Call, known: dict[str, ast.expr], depth: int) -> str:
    function = node.func
    if isinstance(function, ast.Attribute) and function.attr == "get_party_id":
        return RANK
    if isinstance(function, ast.Name) and function.id == "str" and node.args:
        return _text(node.args[0], known, depth - 1)
    if isinstance(function, ast.Attribute) and function.attr == "format":
        pattern = _text(function.value, known, depth - 1)
        values = [_text(argument, known, depth - 1) for argument in node.args]
        if pattern and all(values) and pattern.count("{}") == len(values):
            for value in values:
                pattern = pattern.replace("{}", value, 1)
            return pattern
    return ""
