"""Programs: what an MPC operation's bundle says of itself, and the form of its code.

A bundle holds ``program.json`` (a `Program`) and one package or module of Python. The code
imports nothing of ours. What it must look like follows from its one role:

``spu.share`` — in the private domain, NumPy only, no network::

    def share(table: dict[str, np.ndarray], parameters: dict, party: int) -> dict[str, np.ndarray]

    `table` holds the columns by name, `party` is the index among the input parties. It returns
    the arrays that the program names in `arrays` (all or some of them), rows × columns each; a
    vector counts as one column. They become float32, fixed-point in the ring, and one share
    for each compute party. Array ``x`` of party 1 is called ``x1`` from then on.

``spu.compute`` — in the federated domain, on shares; the entry point names either a class::

    class Training:
        def initial(self, shapes: dict[str, tuple[int, int]], parameters: dict) -> dict: ...
        def stage(self, inputs: dict, state: dict, parameters: dict) -> dict: ...
        def outputs(self, inputs: dict, state: dict, parameters: dict) -> dict: ...

    `initial` gives the public start state as NumPy arrays (`shapes` by input name, such as
    ``{"x0": (20000, 12), "x1": (20000, 11), "y1": (20000, 1)}``); `stage` and `outputs` are pure
    JAX over ``inputs["x0"]`` and so on, traced and compiled once. `stage` returns a state of
    the same names, shapes and types, and runs as often as the program has stages; after the
    last one `outputs` runs once, and its values are left as shares for the receivers. Without
    `initial` and `stage` there is one stage, and it is `outputs`.

    … or a plain JAX function, published unchanged, whose arguments are named like inputs and
    which gives an array, a tuple or a dict of arrays: one stage. What is called ``parameters``
    among its arguments is the run configuration::

        def f(x0, x1): return jnp.mean(x0) - jnp.mean(x1)

``spu.intersect`` — in the private domain, linked to its peer; NumPy only::

    def identifiers(table: dict[str, np.ndarray], parameters: dict) -> Sequence[str]

    The identifiers to intersect, one a row (normalised: trimmed, upper case, …). Column
    ``ids`` of the table always holds the key. The result is ``out/results/ids.txt``, sorted.

``local`` — in the private domain, alone; whatever the interpreter has installed::

    def run(table: dict[str, np.ndarray], parameters: dict) -> dict[str, np.ndarray]

    The result is ``out/results/values.npz``.

`parameters` is always the whole run configuration: names to bool, int, float or str.
Code that finds its input unfit raises `ValueError`; its text stays in the private log.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.ddo.canonical import parse_json, validate
from datatoken.ddo.terms import ParameterName
from datatoken.errors import BadInputError
from datatoken.types import Model, Scalar
from rtt_tracer.engines.base import Role

MANIFEST = "program.json"
MAX_MANIFEST_BYTES = 64 * 1024
MAX_STAGES = 10_000

ArrayName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,31}$")]
OutputName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
PackageName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
OperationName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9\-]{0,63}$")]
EntryPoint = Annotated[
    str,
    StringConstraints(pattern=r"^[a-z_][\w.]*:[A-Za-z_]\w*$|^[a-z_][\w/]*\.py$", max_length=200),
]

RUN_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "protocol": {
        "type": "str",
        "enum": ["ABY3", "SECURENN", "CHEETAH", "SEMI2K"],
        "default": "ABY3",
        "description": "ABY3 and SECURENN: three compute parties, one of them may be curious; "
        "CHEETAH: two; SEMI2K: only with insecure-dealer.",
    },
    "insecure-dealer": {
        "type": "bool",
        "default": False,
        "description": "Let the first party deal SEMI2K's multiplication triples: it can then "
        "learn all inputs. For trials on data that are nobody's.",
    },
    "receivers": {
        "type": "str",
        "default": "requester",
        "max_length": 1000,
        "description": "Who gets the results: requester, or indices of the algorithm's children, "
        "separated by commas.",
    },
    "field": {
        "type": "str",
        "enum": ["FM64", "FM128"],
        "default": "FM64",
        "description": "The ring that shares live in.",
    },
    "fraction-bits": {
        "type": "int",
        "minimum": 8,
        "maximum": 40,
        "default": 18,
        "description": "Bits behind the binary point of shared numbers.",
    },
}
"""Declared for every `spu.compute` operation, unless its own schema says more."""

ROSETTA_PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "protocol": {
        "type": "str",
        "enum": ["SecureNN"],
        "default": "SecureNN",
        "description": "Three parties, one of them may be curious.",
    },
    "receivers": RUN_PARAMETERS["receivers"],
    "fraction-bits": {
        "type": "int",
        "minimum": 10,
        "maximum": 20,
        "default": 16,
        "description": "Bits behind the binary point of shared numbers.",
    },
}
"""Declared for every `rosetta` operation, unless its own schema says more."""


class Output(Model):
    """One value that an operation leaves for its receivers.

    Attributes
    ----------
    bound : float, optional
        Largest magnitude that makes sense. What lies outside was not computed correctly.
    """

    name: OutputName
    description: str = Field(default="", max_length=500)
    bound: Annotated[float, Field(gt=0)] | None = None


class Program(Model):
    """``program.json`` of a bundle.

    Attributes
    ----------
    package : str
        The one folder or module in the bundle beside ``program.json``.
    role : Role
        Also the one key of `OperationDocument.entry_points`.
    arrays : list of str
        Names of the arrays that an input party gives, in the order in which its introduction
        counts their columns (0: this party has no such array).
    stages : int or str
        How many, or the name of the int parameter that says so; `stage_size` names a
        parameter by which that one is divided (epochs in a stage). Roles without checkpoints
        (``spu.intersect``, ``local``, a Rosetta script of a user's) have 0.
    outputs : list of Output
        Of ``spu.compute``, where they are known; a plain function's are not.
    rows : bool
        Whether it reads rows (of the parties that are data assets).
    """

    format: Literal[1] = 1
    name: OperationName
    package: PackageName
    role: Role
    entry_point: EntryPoint
    arrays: list[ArrayName] = Field(default=["x", "y"], max_length=32)
    stages: Annotated[int, Field(ge=0, le=MAX_STAGES)] | ParameterName = 1
    stage_size: ParameterName | None = None
    outputs: list[Output] = Field(default=[], max_length=256)
    rows: bool = True

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        inside = rf"{self.package}([.:/]|\.py$)"
        if not re.match(inside, self.entry_point):
            raise ValueError(f"the entry point {self.entry_point} is outside {self.package}")
        for names in (self.arrays, [output.name for output in self.outputs]):
            if len(set(names)) != len(names):
                raise ValueError("a name comes twice")
        if self.rows and not self.role.private:
            raise ValueError("a compute party never reads rows")
        if self.role in (Role.SPU_INTERSECT, Role.LOCAL) and self.stages != 0:
            raise ValueError(f"{self.role} has no stages")
        return self

    def stage_count(self, parameters: Mapping[str, Scalar]) -> int:
        """Return how many stages follow the sharing of inputs.

        Raises
        ------
        BadInputError
            When the parameter is missing, no count, or no multiple of the stage's size.
        """
        if isinstance(self.stages, int):
            return self.stages
        total = _count(parameters, self.stages)
        size = _count(parameters, self.stage_size) if self.stage_size else 1
        if total % size:
            raise BadInputError(
                f"{self.stages} = {total} can't be divided into stages of {size}.",
                f"Choose {self.stages} as a multiple of {self.stage_size}.",
            )
        if total // size > MAX_STAGES:
            raise BadInputError(f"The run has {total // size} stages; {MAX_STAGES} are allowed.")
        return total // size

    def input_shapes(
        self, rows: int, columns: Sequence[Sequence[int]]
    ) -> dict[str, tuple[int, int]]:
        """Return shapes by input name (``x0``, ``x1``, ``y1``), parties in order.

        Parameters
        ----------
        rows : int
        columns : sequence of (sequence of int)
            By input party and array; 0 or absent: it has no such array.

        Raises
        ------
        BadInputError
            When a party gives more arrays than the program names.
        """
        found: dict[str, tuple[int, int]] = {}
        for party, counts in enumerate(columns):
            # An operation that shares may name arrays that it has not got in this run.
            if any(counts[len(self.arrays) :]):
                raise BadInputError(
                    f"Input party {party} gives {len(counts)} arrays; the program "
                    f"knows {len(self.arrays)}: {', '.join(self.arrays)}."
                )
            for name, width in zip(self.arrays, counts, strict=False):
                if width:
                    found[f"{name}{party}"] = (rows, width)
        return found


def _count(parameters: Mapping[str, Scalar], name: str) -> int:
    value = parameters.get(name)
    if type(value) is not int or value < 1:
        raise BadInputError(f"Parameter {name!r} must be a whole number above 0, not {value!r}.")
    return value


def parse_program(content: bytes) -> Program:
    """Parse ``program.json``; raise `BadInputError`."""
    plain = parse_json(content, MANIFEST, MAX_MANIFEST_BYTES)
    return validate(Program, plain, MANIFEST)


def read_program(bundle: Path) -> Program:
    """Read ``program.json`` of an unpacked bundle; raise `BadInputError`."""
    try:
        return parse_program((bundle / MANIFEST).read_bytes())
    except OSError as error:
        raise BadInputError(f"{bundle / MANIFEST} can't be read: {error.strerror}.") from None
