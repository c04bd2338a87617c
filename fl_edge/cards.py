"""A card for each shipped Flower operation: what it computes, takes, reveals, and to whom.

Written from ``operation.json`` and nothing else: the page shows what gates enforce.
"""

from datatoken.ddo.cards import parameter_table
from datatoken.ddo.operation import ReplyPolicy
from datatoken.types import MessageKind
from fl_edge.fab.bundle import OperationSource, read_source
from fl_edge.fab.shipped import shipped_operations

WHERE = {
    "client": "the device of a data asset's owner; its rows never leave it",
    "server": "the server of the composite's owner; it has no rows",
}

HEAD = """\
Trusted operations that come with this package. `fl-edge publish NAME` makes one of them an
operation on the chain. A run takes one that runs on the devices and one that runs on the server,
any of the one with any of the other; a data owner's terms may narrow parameters further, never
widen them. Whatever else they reveal, the owner of the composite runs the server and sees what
each device sends to it."""

TITLES = {"client": "On the devices", "server": "On the server"}


def cards() -> str:
    """Return the page's text, without its title."""
    sources = {name: read_source(folder) for name, folder in shipped_operations().items()}
    parts = [HEAD]
    for kind, title in TITLES.items():
        parts.append(f"## {title}")
        parts += [card(name, one) for name, one in sources.items() if one.kind == kind]
    return "\n\n".join(parts) + "\n"


def card(name: str, source: OperationSource) -> str:
    """Return one operation's card."""
    entry = next(iter(source.entry_points.values()))
    facts = [("name", source.name), ("runs on", WHERE[source.kind]), ("entry point", f"`{entry}`")]
    facts.append(("needs", ", ".join(f"`{one}`" for one in source.dependencies) or "nothing"))
    if source.kind == "client":
        facts.append(("answers", ", ".join(kind.value for kind in source.messages)))
        facts += [(f"reply to {k.value}", _leaves(source.replies, k)) for k in source.messages]
    parts = [
        f"### `{name}`",
        source.description,
        "\n".join(["| | |", "|---|---|", *(f"| {key} | {value} |" for key, value in facts)]),
        "It reveals, and nothing else:",
        "\n".join(f"- {one.what}: to {one.to}" for one in source.reveals),
    ]
    if source.parameters:
        parts.append(parameter_table(source.parameters))
    if source.records:
        parts.append("What a message of the server may say beside the model:")
        parts.append(parameter_table(source.records))
    return "\n\n".join(parts)


def _leaves(replies: ReplyPolicy, kind: MessageKind) -> str:
    """Return what a gate lets out in a reply."""
    arrays = {
        "input": "arrays of the names, types and shapes that arrived",
        "none": "no arrays",
        "free": f"arrays of {replies.max_bytes:,} bytes at most",
    }[replies.array_rule(kind)]
    if replies.metrics is None:
        return f"{arrays}; {replies.max_scalars} numbers at most"
    return f"{arrays}; of numbers {', '.join(f'`{name}`' for name in replies.metrics)} at most"
