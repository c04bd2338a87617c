"""What a bank, or a regulator, finds out about the use of an asset: chain and documents alone."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console
from rich.table import Table

from datatoken.errors import RunFailedError
from datatoken.trace.usage import Usage, usage
from datatoken.types import Hex32
from examples.support.mpc.world import CreditWorld


@dataclass(frozen=True)
class Trace:
    """One asset's use by one job.

    Attributes
    ----------
    what : str
        The asset, by the demo's name.
    who, how : str
        Who has used it, with which operation.
    when : str
        Of the first and the last round that the chain has of the job.
    permission : str
        Whose grant, and what it is now.
    """

    what: str
    who: str
    how: str
    when: str
    rounds: int
    permission: str


def use_of(world: CreditWorld, asset: str, job: Hex32) -> Usage:
    """Return the use of an asset by one job; raise `RunFailedError` when there is none."""
    site = world.site(world.accounts["regulator"])
    for found in usage(site, world.dts[asset]):
        if found.job == job:
            return found
    raise RunFailedError(f"The chain knows no use of {asset} by job {job[:10]}….")


def trace_of(world: CreditWorld, asset: str, job: Hex32) -> tuple[tuple[str, str], ...]:
    """Return (what, finding) pairs about one asset and one job."""
    found = use_of(world, asset, job)
    return (
        ("DT", world.dts[asset]),
        ("used by", f"{found.algorithm_name} of {found.algorithm_owner.name}"),
        ("job", f"{found.job[:18]}…, vouched for by {found.guarantor.name}"),
        ("purpose", found.purpose or "none given"),
        ("how", _how(found)),
        ("when", _when(found)),
        ("own grant now", ", ".join(dict.fromkeys(edge.state.value for edge in found.edges))),
        ("rounds logged", str(len(found.rounds))),
    )


def traces_of(world: CreditWorld, assets: Sequence[str], job: Hex32) -> list[Trace]:
    """Return who has used each asset of a job, when, how, and with whose permission."""
    return [_trace(world, asset, use_of(world, asset, job)) for asset in assets]


def show_traces(console: Console, title: str, traces: Sequence[Trace]) -> None:
    """Print one line an asset."""
    table = Table(title=title, title_justify="left")
    for name in ("what", "used by", "how", "when", "with whose permission"):
        table.add_column(name, overflow="fold")
    for trace in traces:
        table.add_row(trace.what, trace.who, trace.how, trace.when, trace.permission)
    console.print(table)


def _trace(world: CreditWorld, asset: str, found: Usage) -> Trace:
    site = world.site(world.accounts["regulator"])
    owner = site.name_of(site.documents.record(world.dts[asset]).owner)
    grants = [
        f"{owner}'s grant: {edge.state}"
        + (f", at most {edge.max_rounds:,} stages" if edge.max_rounds else "")
        for edge in found.edges
        if edge.child == world.dts[asset]
    ]
    return Trace(
        what=asset,
        who=f"{found.algorithm_owner.name}: {found.algorithm_name}",
        how=_how(found),
        when=_when(found),
        rounds=len(found.rounds),
        permission="; ".join(dict.fromkeys(grants)),
    )


def _how(found: Usage) -> str:
    return "; ".join(dict.fromkeys(use.operation_name for use in found.uses))


def _when(found: Usage) -> str:
    times = [one.time for one in found.rounds if one.time is not None]
    if not times:
        return "never"
    first, last = (
        time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime(t)) for t in (times[0], times[-1])
    )
    return f"{len(times)} rounds, {first} to {last[11:]} UTC"
