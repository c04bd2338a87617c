"""What one user can find out: notices, use, and a proof for every own contribution."""

from datatoken.errors import DataTokenError
from datatoken.service.client import RecorderClient
from datatoken.trace.inbox import NoticeKind, inbox
from datatoken.trace.usage import Use, usage
from examples.mvp2_wearables.rounds import Log
from examples.mvp2_wearables.world import Person, World


def trace_of(world: World, person: Person, log: Log, endpoint: str) -> tuple[tuple[str, str], ...]:
    """Return (what, finding) pairs about one user's DT, from market, grants and log alone."""
    site = person.role.site
    found = next(use for use in usage(site, person.dt) if use.job == world.job)
    notices = inbox(site, person.account.address, everything=True)
    announced = [
        n for n in notices if n.kind is NoticeKind.JOB_ANNOUNCED and n.subject == world.job
    ]
    edges = ", ".join(f"{edge.state} since epoch {edge.epoch}" for edge in found.edges[:1])
    return (
        ("DT", person.dt),
        ("used by", f"{found.algorithm_name} of {found.algorithm_owner.name}"),
        ("job", f"{found.job[:18]}…, vouched for by {found.guarantor.name}"),
        ("purpose", found.purpose or "none given"),
        ("how", "; ".join(dict.fromkeys(_how(use) for use in found.uses))),
        ("notices of A, on the chain", str(len(announced))),
        ("own grant now", edges),
        ("rounds logged", str(len(found.rounds))),
        ("own contributions, each with a proof that holds", _proofs(world, person, log, endpoint)),
    )


def _how(use: Use) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in use.parameters.items())
    return f"{use.operation_name} ({parameters}), below {use.server_operation_name} at A"


def _proofs(world: World, person: Person, log: Log, endpoint: str) -> str:
    """Fetch the inclusion proof of every receipt of this user, with the user's own key."""
    own = [
        (document, signed.receipt.digest())
        for document in log.documents
        for signed in document.receipts
        if signed.receipt.dt == person.dt
    ]
    recorder = world.accounts["recorder"].address
    client = RecorderClient(endpoint, person.account.signer, recorder=recorder)
    holding = 0
    try:
        for document, receipt in own:
            try:
                holding += client.proof(world.job, receipt).header.head() == document.head()
            except DataTokenError:
                continue
    finally:
        client.close()
    return f"{holding} of {len(own)}"
