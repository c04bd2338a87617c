"""What a bank, or a regulator, finds out about the use of an asset: chain and documents alone."""

from datatoken.errors import RunFailedError
from datatoken.trace.usage import Usage, usage
from datatoken.types import Hex32
from examples.support.mpc.world import CreditWorld


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
    states = ", ".join(dict.fromkeys(edge.state.value for edge in found.edges))
    return (
        ("DT", world.dts[asset]),
        ("used by", f"{found.algorithm_name} of {found.algorithm_owner.name}"),
        ("job", f"{found.job[:18]}…, vouched for by {found.guarantor.name}"),
        ("purpose", found.purpose or "none given"),
        ("how", "; ".join(dict.fromkeys(use.operation_name for use in found.uses))),
        ("own grant now", states),
        ("rounds logged", str(len(found.rounds))),
    )
