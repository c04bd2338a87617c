"""A card for each shipped operation: what it computes, takes, reveals, and to whom.

Written from ``operation.json`` and nothing else: the page shows what gates enforce.
"""

from datatoken.ddo.cards import parameter_table
from datatoken.ddo.terms import ParameterSpec
from rtt_tracer.document import OperationSource, read_source
from rtt_tracer.engines.base import Role
from rtt_tracer.program import RUN_PARAMETERS
from rtt_tracer.shipped import shipped_operations

WHERE = {
    Role.SPU_SHARE: "a data asset, in its owner's private domain; no network",
    Role.SPU_COMPUTE: "a compute asset, in the federated domain; sees shares only",
    Role.SPU_INTERSECT: "a data asset, in its owner's private domain; linked to one other owner",
    Role.ROSETTA: "a data asset, in its owner's private domain (Rosetta reads rows itself), "
    "and one compute asset without rows",
    Role.LOCAL: "a data asset, in its owner's private domain; no network",
}

HEAD = """\
Trusted operations that come with this package. `rtt-tracer publish NAME` makes one of them an
operation on the chain; a data owner's terms may narrow its parameters further, never widen them.
All MPC operations of a run share one set of parameters: the same name means the same in each."""


def cards() -> str:
    """Return the page's text, without its title."""
    parts = [HEAD]
    for name, folder in shipped_operations().items():
        parts.append(card(name, read_source(folder)))
    parts.append("## Parameters of every SPU computation")
    parts.append("Beside its own ones, an operation of the role `spu.compute` has these.")
    shared = {
        name: ParameterSpec.model_validate(dict(spec)) for name, spec in RUN_PARAMETERS.items()
    }
    parts.append(parameter_table(shared))
    return "\n\n".join(parts) + "\n"


def card(name: str, source: OperationSource) -> str:
    """Return one operation's card."""
    program = source.as_program(name)
    size = f" / `{program.stage_size}`" if program.stage_size else ""
    stages = f"`{program.stages}`{size}" if program.stages != 0 else "none"
    facts = [
        ("runs on", WHERE[source.role]),
        ("role", f"`{source.role}`"),
        ("entry point", f"`{program.entry_point}`"),
        ("answers", ", ".join(source.messages)),
        ("stages (rounds)", stages),
    ]
    if source.role in (Role.SPU_SHARE, Role.SPU_COMPUTE):
        facts.append(("arrays", ", ".join(f"`{array}`" for array in program.arrays)))
    parts = [
        f"## `{name}`",
        source.description,
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts)]),
        "It reveals, and nothing else:",
        "\n".join(f"- {one.what}: to {one.to}" for one in source.reveals),
    ]
    if program.outputs:
        lines = [f"| `{one.name}` | {one.description} |" for one in program.outputs]
        parts.append("\n".join(["| result | meaning |", "|---|---|", *lines]))
    if source.parameters:
        parts.append(parameter_table(source.parameters))
    return "\n\n".join(parts)
