"""Terms: what the owner of an asset allows, in a form that a program can hold a run against.

Constraints are a small, closed vocabulary (constant, enumeration, range, type) instead of
JSON Schema: an owner must be able to read a term, and two checkers must never differ on it
(ADR 0005).
"""

import math
from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.types import Address, MessageKind, Model, Scalar, Seconds

ParameterName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z][A-Za-z0-9_.\-]{0,63}$")]
"""ASCII: a name that only looks like another one would escape the terms on that other."""
ScalarType = Literal["bool", "int", "float", "str"]
PYTHON_TYPES: dict[ScalarType, type] = {"bool": bool, "int": int, "float": float, "str": str}
Count = Annotated[int, Field(ge=0, lt=2**32)]


class Constraint(Model):
    """What one parameter may be. All that is set must hold.

    Attributes
    ----------
    type : {"bool", "int", "float", "str"}, optional
        An int passes as a float, never the other way round; a bool is not an int.
    const : scalar, optional
    enum : list of scalar, optional
    minimum, maximum : number, optional
        Inclusive; NaN and infinities never pass a range.
    max_length : int, optional
        Of a text, in characters.
    """

    type: ScalarType | None = None
    const: Scalar | None = None
    enum: list[Scalar] | None = Field(default=None, min_length=1, max_length=256)
    minimum: int | float | None = None
    maximum: int | float | None = None
    max_length: int | None = Field(default=None, ge=0)

    def violation(self, value: Scalar) -> str | None:
        """Return why `value` is not allowed, or None.

        Parameters
        ----------
        value : bool, int, float or str

        Returns
        -------
        str or None
            A clause such as ``"0.5 is above 0.1"``.
        """
        shown = _show(value)
        if self.type is not None and not _is_type(value, self.type):
            return f"{shown} is not of type {self.type}"
        if self.const is not None and not same(value, self.const):
            return f"{shown} is not {_show(self.const)}"
        if self.enum is not None and not any(same(value, allowed) for allowed in self.enum):
            return f"{shown} is not one of {', '.join(map(_show, self.enum))}"
        if self.max_length is not None and (
            not isinstance(value, str) or len(value) > self.max_length
        ):
            return f"{shown} is longer than {self.max_length} characters"
        return self._range_violation(value)

    def _range_violation(self, value: Scalar) -> str | None:
        if self.minimum is None and self.maximum is None:
            return None
        if isinstance(value, (bool, str)) or not _is_finite(value):
            return f"{_show(value)} is not a finite number"
        if self.minimum is not None and value < self.minimum:
            return f"{_show(value)} is below {self.minimum}"
        if self.maximum is not None and value > self.maximum:
            return f"{_show(value)} is above {self.maximum}"
        return None


class ParameterSpec(Constraint):
    """A parameter that an operation declares: a constraint, a default, a sentence."""

    default: Scalar | None = None
    description: str = Field(default="", max_length=1000)

    @model_validator(mode="after")
    def _default_fits(self) -> Self:
        if self.default is not None and (why := self.violation(self.default)):
            raise ValueError(f"the default is not allowed: {why}")
        return self


class Terms(Model):
    """The owner's terms. What is not set is not restricted, but for `min_participants`.

    Attributes
    ----------
    purposes : list of str
        Purposes accepted; empty: any.
    expiry : int, optional
        Unix time in seconds after which nothing runs.
    parameters : dict of str to Constraint
        On run parameters and on the keys of configuration records alike.
    max_rounds : int, optional
        Messages of each kind that this owner answers for a grant, over all jobs and runs.
    max_messages : dict of {"train", "evaluate", "query"} to int
        The same by kind; where both are set the tighter one holds.
    min_participants : int, optional
        Of a composite's children that must take part; None: all of them. On a leaf: of the
        children of the composite above it.
    guarantors : list of address
        Institutions accepted as guarantor; empty: any registered one.
    lag : int
        Own receipts that may be missing from the recorder's log.
    round_timeout : int
        Seconds after which the recorder closes a round without the missing members.
    """

    purposes: list[Annotated[str, StringConstraints(min_length=1, max_length=200)]] = []
    expiry: Seconds | None = None
    parameters: dict[ParameterName, Constraint] = {}
    max_rounds: Count | None = None
    max_messages: dict[MessageKind, Count] = {}
    min_participants: Annotated[int, Field(ge=1, le=1024)] | None = None
    guarantors: list[Address] = []
    lag: Annotated[int, Field(ge=1, le=64)] = 1
    round_timeout: Annotated[int, Field(ge=1, le=86_400)] = 600

    def limit(self, kind: MessageKind) -> int | None:
        """Return how many messages of `kind` a grant allows, or None for no limit."""
        limits = [n for n in (self.max_rounds, self.max_messages.get(kind)) if n is not None]
        return min(limits) if limits else None


def violations(
    constraints: Mapping[str, Constraint], values: Mapping[str, Scalar], *, closed: bool
) -> list[str]:
    """Return every reason why `values` break `constraints`.

    Parameters
    ----------
    constraints : mapping of str to Constraint
    values : mapping of str to scalar
    closed : bool
        Whether a value without a constraint is a violation (an operation's schema) or not
        (an owner's terms).
    """
    found = []
    for name, value in values.items():
        constraint = constraints.get(name)
        if constraint is None:
            if closed:
                found.append(f"parameter {name!r} is not declared")
        elif why := constraint.violation(value):
            found.append(f"parameter {name!r}: {why}")
    return found


def same(left: Scalar, right: Scalar) -> bool:
    """Compare two scalars; 1, 1.0 and True are three different values but for int and float."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    return left == right


def _is_type(value: Scalar, name: ScalarType) -> bool:
    if name == "float":
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    if name == "int":
        return isinstance(value, int) and not isinstance(value, bool)
    return isinstance(value, PYTHON_TYPES[name])


def _is_finite(value: float) -> bool:
    return isinstance(value, int) or math.isfinite(value)  # isfinite overflows on large ints


def _show(value: Scalar) -> str:
    if isinstance(value, int) and value.bit_length() > 256:  # repr refuses much larger ones
        return f"a number of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
