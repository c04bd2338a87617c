"""Parameters of an operation as a table in Markdown, for the cards of shipped operations."""

from collections.abc import Mapping

from datatoken.ddo.terms import ParameterSpec
from datatoken.types import Scalar


def parameter_table(parameters: Mapping[str, ParameterSpec]) -> str:
    """Return a table: what each parameter may be, its default, what it means."""
    lines = [
        f"| `{name}` | {_bounds(spec)} | {_shown(spec.default)} | {spec.description} |"
        for name, spec in parameters.items()
    ]
    return "\n".join(["| parameter | allowed | default | meaning |", "|---|---|---|---|", *lines])


def _bounds(spec: ParameterSpec) -> str:
    if spec.enum is not None:
        return ", ".join(_shown(value) for value in spec.enum)
    if spec.minimum is not None and spec.maximum is not None:
        return f"{spec.type} {spec.minimum:g} to {spec.maximum:,.12g}"
    if spec.max_length is not None:
        return f"text, {spec.max_length:,} characters at most"
    return str(spec.type)


def _shown(value: Scalar | None) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    return f"`{value}`" if value not in (None, "") else "empty"
