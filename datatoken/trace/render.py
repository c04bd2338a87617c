"""Usage and lineage as trees for a terminal."""

from collections.abc import Iterable

from rich.text import Text
from rich.tree import Tree

from datatoken.text import clean, short, show_moment
from datatoken.trace.lineage import Node
from datatoken.trace.usage import Edge, GrantState, Party, Usage, Use
from datatoken.types import JobStatus

_STYLES = {
    GrantState.ACTIVE: "green",
    GrantState.REVOKED: "red",
    GrantState.EXPIRED: "yellow",
    GrantState.MISSING: "yellow",
}
_JOB_STYLES = {JobStatus.OPEN: "green", JobStatus.PAUSED: "yellow", JobStatus.CLOSED: "dim"}


def show_party(party: Party) -> str:
    """Return a name with its account, or the account alone."""
    return f"{party.name} ({party.account})" if party.name else party.account


def usage_tree(dt: str, name: str, found: Iterable[Usage]) -> Tree:
    """Return every use of an asset as a tree: job, by whom, how, and the rounds logged."""
    root = Tree(Text.assemble((clean(name) or "DT", "bold"), f"  {dt}"))
    jobs = 0
    for usage in found:
        jobs += 1
        _add_job(root, usage)
    if not jobs:
        root.add(Text("no job has used it", style="dim"))
    return root


def _add_job(root: Tree, usage: Usage) -> None:
    status = usage.status.name.lower()
    job = root.add(
        Text.assemble("job ", usage.job, "  ", (status, _JOB_STYLES.get(usage.status, "")))
    )
    by = {
        "algorithm": f"{usage.algorithm_name} {usage.algorithm}".strip(),
        "algorithm owner": show_party(usage.algorithm_owner),
        "guarantor": show_party(usage.guarantor),
        "recorder": show_party(usage.recorder),
        "purpose": usage.purpose or "-",
        "task": f"{usage.task}, posted {show_moment(usage.posted_at)}",
    }
    for what, who in by.items():
        job.add(Text.assemble((f"{what}: ", "bold"), clean(who)))
    if usage.unread:
        job.add(Text(clean(f"how: not known; {usage.unread}"), style="yellow"))
    for use in usage.uses:
        _add_use(job, use, usage.edges)
    for announced in usage.announcements:
        note = "announced" if announced.current else "announced before"
        job.add(f"{note} by the owner of {short(announced.composite)}: request {announced.request}")
    rounds = job.add(f"rounds logged: {len(usage.rounds)}")
    for logged in usage.rounds:
        rounds.add(
            f"{logged.number}: {show_moment(logged.time)}, block {logged.block_number}, "
            f"document {short(logged.document)}"
        )


def _add_use(job: Tree, use: Use, edges: tuple[Edge, ...]) -> None:
    by_pair = {(edge.child, edge.parent): edge for edge in edges}
    server = f" with {use.server_operation_name}" if use.server_operation_name else ""
    branch = job.add(Text.assemble(("runs: ", "bold"), clean(use.operation_name + server)))
    if use.parameters:
        fixed = ", ".join(f"{name}={value!r}" for name, value in use.parameters.items())
        branch.add(Text(clean(f"fixed: {fixed}")))
    for index, dt in enumerate(use.path):
        line = Text.assemble(clean(use.names[index]) or "DT", f"  {short(dt)}")
        if index + 1 < len(use.path):
            edge = by_pair.get((dt, use.path[index + 1]))
            if edge is not None:
                line.append("  → granted: ")
                line.append(_grant(edge), style=_STYLES[edge.state])
        branch = branch.add(line)


def _grant(edge: Edge) -> str:
    limits = []
    if edge.expiry:
        limits.append(f"until {show_moment(edge.expiry)}")
    if edge.max_rounds:
        limits.append(f"{edge.max_rounds} rounds")
    return f"{edge.state.value}{' (' + ', '.join(limits) + ')' if limits else ''}"


def lineage_tree(node: Node) -> Tree:
    """Return a lineage as a tree, downwards or upwards as it was read."""
    root = Tree(_line(node))
    _add_nodes(root, node)
    return root


def _add_nodes(branch: Tree, node: Node) -> None:
    for job in node.jobs:
        branch.add(f"job {job}")
    for other in (*node.below, *node.above):
        _add_nodes(branch.add(_line(other)), other)


def _line(node: Node) -> Text:
    line = Text.assemble(
        (clean(node.name) or "DT", "bold"),
        f"  {node.kind.name.lower()}  {node.dt}  ",
        (clean(show_party(node.owner)), "dim"),
    )
    if node.grant is not None:
        line.append(f"  grant {_grant(node.grant)}", style=_STYLES[node.grant.state])
    return line
