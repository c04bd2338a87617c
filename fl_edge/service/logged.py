"""The last aggregate of a run that the log of rounds names, verified against the chain."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from datatoken.authorization.decision import recorder_of
from datatoken.chain.signer import Signer
from datatoken.errors import DataTokenError
from datatoken.roles.site import Site
from datatoken.rounds.documents import RoundDocument
from datatoken.rounds.receipts import Delegation
from datatoken.service.client import LogFollower, RecorderClient
from datatoken.types import Hex32, Model
from fl_edge.control.plan import Plan

PAUSE = 0.5


class Aggregate(Model):
    """An aggregate as the log names it: its digest, never the model.

    Attributes
    ----------
    number : int
        Of the log's document that holds it: its round on the chain.
    round : str
        The app's own number.
    """

    run: str
    number: int
    round: str
    digest: Hex32


def last_aggregate(documents: Sequence[RoundDocument], run: str) -> Aggregate | None:
    """Return the last aggregate that was named for a run, or None. Pure."""
    for document in reversed(documents):
        for named in reversed(document.named):
            if named.run == run and (digest := named.annotations.get("aggregate")):
                number = named.annotations.get("round", "")
                return Aggregate(run=run, number=document.number, round=number, digest=digest)
    return None


def wait_for_aggregate(
    site: Site,
    plan: Plan,
    run: str,
    rounds: int,
    *,
    signer: Signer,
    delegation: Delegation,
    path: Path,
    go_on: Callable[[], bool],
) -> Aggregate | None:
    """Return the run's last logged aggregate, once it is that of the last round.

    Parameters
    ----------
    rounds : int
        Number of the run's last round.
    path : Path
        Where the verified log is kept.
    go_on : callable
        Tells whether to wait any longer.
    """
    tree = site.documents.tree(plan.algorithm)
    ref = recorder_of(tree.ddos, tree.paths(plan.server)[0])
    if ref is None:
        return None
    client = RecorderClient(ref.endpoint, signer, recorder=ref.account, delegation=delegation)
    follower = LogFollower(client, site.reader, path)
    found: Aggregate | None = None
    try:
        while True:
            try:
                follower.update(plan.job, *site.reader.head(plan.job, ref.account))
                found = last_aggregate(follower.documents(plan.job), run)
            except DataTokenError:
                pass  # the log may come; without it the run has ended all the same
            if (found is not None and found.round == str(rounds)) or not go_on():
                return found
            time.sleep(PAUSE)
    finally:
        follower.close()
        client.close()
