"""Reads the rounds of a run from what is logged: documents, transactions, aggregates.

Two figures tell how good the model is. *People never seen*: the maker's own rows, which are
on no device and never sent anywhere; the logged aggregate is scored on them here. *Users'
own held-out rows*: what the users' gates let out as replies to evaluate messages, weighted
by rows, as the strategy averages them.
"""

import contextlib
import math
import re
import sqlite3
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from clients.edgecomp_numpy import network, scores
from datatoken.errors import DataTokenError
from datatoken.rounds.documents import RoundDocument, is_about
from datatoken.service.client import RecorderClient
from datatoken.types import Hex32, MessageKind
from examples.mvp2_wearables.data import People
from examples.mvp2_wearables.report import Round
from examples.mvp2_wearables.world import World
from examples.support.recorder import gas_of_rounds
from fl_edge.strategy.spool import arrays_from_npz

POLL = 0.1
USERS_AUC = re.compile(r"Aggregated MetricRecord: \{[^}]*'auc': ([0-9.]+)")


@dataclass
class Log:
    """The recorder's documents of one job, fetched as they come."""

    world: World
    client: RecorderClient
    documents: list[RoundDocument] = field(default_factory=list)

    def new(self) -> list[RoundDocument]:
        """Return the documents that were written since the last call."""
        since = self.documents[-1].number if self.documents else 0
        try:
            found = self.client.documents(self.world.job, since)
        except DataTokenError:
            return []  # the recorder knows the job from its first receipt on
        self.documents += found
        return found

    def of_run(self, run: str) -> list[RoundDocument]:
        """Return the documents that close rounds of one run."""
        return [d for d in self.documents if d.closes is not None and d.closes.run == run]

    def claims(self, document: RoundDocument) -> dict[str, str]:
        """Return what the SuperLink claims of the round that a document closes.

        A claim that comes after the document is in the next one.
        """
        key = document.closes
        words = (named for later in self.documents for named in later.named)
        return {
            name: text
            for named in words
            if key is not None and is_about(named, key)
            for name, text in named.annotations.items()
        }

    def names(self, document: RoundDocument) -> tuple[str, ...]:
        """Return who reported in a document, in the users' order."""
        members = {signed.receipt.dt for signed in document.receipts}
        return tuple(p.name for p in self.world.persons if p.dt in members)

    def gas(self, documents: Sequence[RoundDocument]) -> dict[int, int]:
        """Return document number → gas of the transaction that logged it."""
        site = self.world.persons[0].role.site
        gas = gas_of_rounds(site, self.world.job, self.world.accounts["recorder"].address)
        return {
            document.number: gas[document.number]
            for document in documents
            if document.number in gas
        }


def aggregates_of(world: World) -> Path:
    """Return the folder in which A's SuperLink keeps the aggregates that are in the log."""
    return world.accounts["A"].folder / "superlink" / "aggregates"


def wait_for_aggregate(aggregates: Path, run: str, seconds: float = 10.0) -> None:
    """Wait until a run's aggregate is kept: from there on it can be resumed."""
    question = "SELECT count(*) FROM aggregates WHERE run = ?"
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.closing(sqlite3.connect(aggregates / "index.sqlite")) as index:
            if index.execute(question, (run,)).fetchone()[0]:
                return
        time.sleep(POLL)


def score(aggregates: Path, digest: Hex32, people: People) -> float:
    """Return the AUC of a logged aggregate on people never seen.

    The file is believed only when it hashes to the digest in the log.
    """
    arrays = arrays_from_npz((aggregates / f"{digest[2:]}.npz").read_bytes(), digest)
    p = network.predict(arrays.to_numpy_ndarrays(), people.unseen_x)
    return scores.auc(people.unseen_y, p)


def users_auc(server_log: str) -> Iterator[float]:
    """Yield the users' weighted AUC after each round, from the ServerApp's own log."""
    return (float(match[1]) for match in USERS_AUC.finditer(server_log))


def collect(
    log: Log,
    runs: Sequence[tuple[str, str]],
    aggregates: Path,
    people: People,
) -> tuple[Round, ...]:
    """Put the rounds of one or more runs (id, server log) together.

    A round has a document for its training and one for its evaluation. What the server calls
    a round is a claim: the SuperLink's, about the training.
    """
    found: dict[int, list[RoundDocument]] = {}
    users: dict[int, float] = {}
    for run, text in runs:
        numbers = []
        for document in log.of_run(run):
            claimed = log.claims(document).get("round", "")
            if document.closes and document.closes.kind is MessageKind.TRAIN and claimed:
                numbers.append(int(claimed))
                found[numbers[-1]] = [document]
            elif numbers:
                found[numbers[-1]].append(document)
        users |= dict(zip(numbers, users_auc(text), strict=False))
    gas = log.gas(log.documents)
    return tuple(
        Round(
            number=number,
            auc=score(aggregates, log.claims(documents[0])["aggregate"], people),
            auc_users=users.get(number, math.nan),
            gas=tuple(gas[document.number] for document in documents if document.number in gas),
            members=log.names(documents[0]),
        )
        for number, documents in sorted(found.items())
    )
