"""The operation document of MPC code: what the administrator registers beside the bytes.

For a folder ``operation.json`` says it; for a user's own JAX function it is derived from the
function's arguments, without running anything. The lock is what the engine has installed.
"""

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.operation import Reveal
from datatoken.ddo.terms import ParameterName, ParameterSpec
from datatoken.errors import BadInputError
from datatoken.types import MessageKind, Model
from rtt_tracer.engines.base import Role
from rtt_tracer.program import (
    MAX_MANIFEST_BYTES,
    ROSETTA_PARAMETERS,
    RUN_PARAMETERS,
    ArrayName,
    EntryPoint,
    OperationName,
    Output,
    Program,
)

SOURCE = "operation.json"
"""In a folder of operation code: the document's fields and the program's, written by hand."""

LOCKED: Mapping[str, tuple[str, ...]] = {
    "spu": ("spu", "jax", "jaxlib", "numpy"),
    "local": ("numpy",),
    "rosetta": ("latticex-rosetta", "tensorflow", "numpy"),
}
"""Distributions that every operation of an engine is locked to, beside its own dependencies."""

OF_A_RUN = {Role.SPU_COMPUTE: RUN_PARAMETERS, Role.ROSETTA: ROSETTA_PARAMETERS}

_ARGUMENT = re.compile(r"([a-z][a-z_]*?)(\d{1,2})")


class ProgramSource(Model):
    """The program's fields in ``operation.json``; see `Program`."""

    arrays: list[ArrayName] = ["x", "y"]
    stages: int | ParameterName = Field(default=1)
    stage_size: ParameterName | None = None
    outputs: list[Output] = []
    rows: bool | None = None


class OperationSource(Model):
    """``operation.json`` in a folder of operation code, written by hand.

    Attributes
    ----------
    entry_points : dict of Role to str
        Exactly one.
    dependencies : list of str
        Names of distributions, beside the engine's own, that the lock holds fast.
    """

    name: OperationName
    kind: Literal["mpc"] = "mpc"
    description: str = Field(default="", max_length=4096)
    entry_points: dict[Role, EntryPoint] = Field(min_length=1, max_length=1)
    dependencies: list[str] = []
    parameters: dict[ParameterName, ParameterSpec] = {}
    messages: list[MessageKind] = [MessageKind.TRAIN]
    reveals: list[Reveal] = []
    program: ProgramSource = ProgramSource()

    @property
    def role(self) -> Role:
        """The one role."""
        return next(iter(self.entry_points))

    def as_program(self, package: str) -> Program:
        """Return the program; raise `BadInputError`."""
        role, plain = self.role, self.program.model_dump(mode="json", exclude_none=True)
        if (
            role in (Role.SPU_INTERSECT, Role.LOCAL)
            and "stages" not in self.program.model_fields_set
        ):
            plain["stages"] = 0
        plain.setdefault("rows", role.private)
        more = {"name": self.name, "package": package, "role": role}
        return validate(Program, plain | more | {"entry_point": self.entry_points[role]}, SOURCE)


def read_source(folder: Path) -> OperationSource:
    """Read ``operation.json`` of a folder of operation code."""
    path = folder / SOURCE
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BadInputError(f"{path} can't be read: {error.strerror}.") from None
    return validate(OperationSource, parse_json(content, SOURCE, MAX_MANIFEST_BYTES), SOURCE)


def source_fields(source: OperationSource, installed: Mapping[str, str]) -> dict[str, Any]:
    """Return the document's fields (all but those of its bytes), for `complete_document`.

    Parameters
    ----------
    source : OperationSource
    installed : mapping
        `Engine.installed()`: distribution → version.

    Raises
    ------
    BadInputError
        When a parameter has no default, or a dependency is not installed in the engine.
    """
    plain = source.model_dump(mode="json", exclude_none=True, exclude={"program", "dependencies"})
    plain["parameters"] = {**_copied(OF_A_RUN.get(source.role, {})), **plain["parameters"]}
    for name, spec in plain["parameters"].items():
        if "default" not in spec:
            raise BadInputError(f"Parameter {name!r} of {SOURCE} has no default.")
    wanted = [*LOCKED[source.role.engine], *source.dependencies]
    return {**plain, "lock": lock_of(wanted, installed)}


def lock_of(names: list[str], installed: Mapping[str, str]) -> dict[str, str]:
    """Return distribution → installed version; raise `BadInputError` for one that is missing."""
    found = {}
    for name in names:
        if name not in installed:
            raise BadInputError(
                f"The dependency {name} is not installed in the engine's environment.",
                "Set the engine up first: make spu, make rosetta.",
            )
        found[name] = installed[name]
    return dict(sorted(found.items()))


def function_source(path: Path, function: str) -> OperationSource:
    """Describe one JAX function of a user's own file, which is published unchanged.

    Its arguments are named like inputs (``x0``, ``x1``, ``y1``; ``parameters`` may be among
    them); nothing of the file is run.

    Raises
    ------
    BadInputError
        When there is no such function, or its arguments can't be inputs.
    """
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError) as error:
        raise BadInputError(f"{path} can't be read as Python: {error}.") from None
    found = [
        node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == function
    ]
    if not found:
        raise BadInputError(f"{path} has no function {function} at its top level.")
    arguments = found[-1].args
    names = [one.arg for one in arguments.posonlyargs + arguments.args if one.arg != "parameters"]
    matched = [_ARGUMENT.fullmatch(name) for name in names]
    if arguments.vararg or arguments.kwonlyargs or arguments.kwarg or not all(matched) or not names:
        raise BadInputError(
            f"The arguments of {function} are not named like inputs.",
            "Name them by array and input party: x0, x1, y1.",
        )
    # x and y first, needed or not: an introduction counts columns in this order.
    arrays = list(dict.fromkeys(["x", "y", *(match[1] for match in matched if match)]))
    description = ast.get_docstring(found[-1]) or f"{function} of {path.name}, on shares."
    plain = {
        "name": re.sub(r"[^A-Za-z0-9]+", "-", f"{path.stem}-{function}").strip("-")[:64],
        "description": description[:4096],
        "entry_points": {Role.SPU_COMPUTE: f"{path.stem}:{function}"},
        "messages": ["train", "query"],
        "reveals": [{"what": f"what {function} returns", "to": "the receivers of the run"}],
        "program": {"arrays": arrays},
    }
    return validate(OperationSource, plain, f"function {function}")


def _copied(parameters: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    return {name: dict(spec) for name, spec in parameters.items()}
