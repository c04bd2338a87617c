"""An operation's JAX code, traced and compiled for SPU: the same bytes at every party."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import spu
import spu.utils.frontend as frontend

from .failure import OPERATION_UNFIT, Failure
from .job import Job, guarded, named_arrays
from .precision import lost
from .setting import fraction_bits

Shapes = Mapping[str, Any]
OUTPUT = "output."
"""Prefix of the names that outputs have as variables; inputs and state keep theirs."""
STATE = "state."


class Traced:
    """Start state, stage and outputs of one operation.

    Attributes
    ----------
    initial : dict of str to array
        Public start state.
    stage : Executable or None
    outputs : Executable
    results : dict of str to shape and dtype
    """

    def __init__(self, job: Job, code: Any) -> None:
        self._parameters = dict(job.parameters)
        self._inputs = {
            name: jax.ShapeDtypeStruct(shape, np.float32) for name, shape in job.shapes.items()
        }
        if hasattr(code, "outputs"):
            self._with_stages(job, code)
        elif callable(code):
            self._plain(code)
        else:
            raise Failure(OPERATION_UNFIT, "The entry point is neither a function nor a program.")
        if more := sorted(self.results.keys() - job.outputs.keys()) if job.outputs else []:
            raise Failure(OPERATION_UNFIT, f"outputs() gives {more[0]!r}, which nobody declared.")

    @property
    def programs(self) -> list[bytes]:
        """All compiled code, its start state and what it gives, for the preflight."""
        codes = [_code(one) for one in (self.stage, self.outputs) if one is not None]
        start = [(name, array.tobytes()) for name, array in sorted(self.initial.items())]
        return [*codes, repr(start).encode(), repr(_forms(self.results)).encode()]

    def _with_stages(self, job: Job, code: Any) -> None:
        given: Any = {}
        if hasattr(code, "initial"):
            given = guarded(code.initial, dict(job.shapes), dict(self._parameters))
        self.initial = {
            name: np.ascontiguousarray(array, dtype=jax.dtypes.canonicalize_dtype(array.dtype))
            for name, array in named_arrays(given, "initial()").items()
        }
        state = {n: jax.ShapeDtypeStruct(a.shape, a.dtype) for n, a in self.initial.items()}
        self.stage = None
        if hasattr(code, "stage"):
            self.stage, after = self._compiled(code.stage, state, STATE)
            if _forms(after) != _forms(state):
                raise Failure(
                    OPERATION_UNFIT,
                    f"stage() gives {_forms(after)}; its state was {_forms(state)}.",
                )
        self.outputs, self.results = self._compiled(code.outputs, state, OUTPUT)

    def _plain(self, function: Callable[..., Any]) -> None:
        """Trace a user's own function: its arguments are named like inputs."""
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        wanted = [name for name in names if name != "parameters"]
        if missing := [name for name in wanted if name not in self._inputs]:
            raise Failure(OPERATION_UNFIT, f"No input party gives {missing[0]!r}.")
        more = {"parameters": self._parameters} if "parameters" in names else {}

        def call(inputs: Any, state: Any, parameters: Any) -> Any:
            given = function(**{name: inputs[name] for name in wanted}, **more)
            if isinstance(given, Mapping):
                return given
            values = given if isinstance(given, (tuple, list)) else [given]
            if len(values) == 1:
                return {"result": values[0]}
            return {f"result{index}": value for index, value in enumerate(values)}

        self.initial, self.stage = {}, None
        self._inputs = {name: self._inputs[name] for name in wanted}
        self.outputs, self.results = self._compiled(call, {}, OUTPUT)

    def _compiled(
        self, function: Callable[..., Any], state: Shapes, prefix: str
    ) -> tuple[Any, dict[str, Any]]:
        """Compile one function of (inputs, state, parameters); return it and what it gives."""
        names = [*self._inputs, *(STATE + name for name in state)]
        shapes = [*self._inputs.values(), *state.values()]
        given: dict[str, Any] = {}

        def flat(*arrays: Any) -> list[Any]:
            values = dict(zip(names, arrays, strict=True))
            inputs = {name: values[name] for name in self._inputs}
            before = {name: values[STATE + name] for name in state}
            after = function(inputs, before, dict(self._parameters))
            if not isinstance(after, Mapping) or not after:
                raise TypeError("the operation must give a dict of arrays")
            given.clear()
            given.update({name: jax.numpy.asarray(after[name]) for name in sorted(after)})
            return list(given.values())

        samples = [np.zeros(shape.shape, shape.dtype) for shape in shapes]
        executable, _ = guarded(
            frontend.compile,
            frontend.Kind.JAX,
            flat,
            samples,
            {},
            names,
            [spu.Visibility.VIS_SECRET] * len(names),
            lambda _: [prefix + name for name in given],
        )
        coarse = lost(_code(executable).decode(), fraction_bits(self._parameters))
        if coarse is not None:
            constant, error = coarse
            raise Failure(
                OPERATION_UNFIT,
                f"The compiled operation multiplies by {constant:.3g}, which is {error:.0%} off in "
                "fixed point: ask for field=FM128 and fraction-bits=40.",
            )
        forms = {n: jax.ShapeDtypeStruct(a.shape, a.dtype) for n, a in given.items()}
        return executable, forms


def _code(executable: Any) -> bytes:
    return executable.code if isinstance(executable.code, bytes) else executable.code.encode()


def _forms(shapes: Shapes) -> dict[str, str]:
    return {name: f"{one.dtype}{tuple(one.shape)}" for name, one in sorted(shapes.items())}
