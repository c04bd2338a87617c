"""The owner's side of the gate: it says which job a run is, and whether a message may run."""

import importlib.metadata
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Protocol

from datatoken.authorization.decision import Lease
from datatoken.authorization.gate import Gatekeeper, Work
from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import Hex32, MessageKind, Scalar, sha256_hex
from fl_edge.fab import build_fab
from fl_edge.supernode.runs import Hints, RunFacts

Records = Mapping[str, Mapping[str, Scalar]]


@dataclass(frozen=True, slots=True)
class Accepted:
    """The job that a FAB belongs to, and the bundle of the operation that it runs here."""

    job: Hex32
    bundle: Hex32


class Authority(Protocol):
    """The owner's side, as the gate sees it."""

    def resolve(self, artefact: Hex32, hints: Hints) -> Accepted:
        """Return the job that runs these FAB bytes at the asset; raise `Refused`."""
        ...

    def authorize(
        self, accepted: Accepted, facts: RunFacts, kind: MessageKind, records: Records
    ) -> Lease:
        """Decide on one message at a fresh view, and count it; raise `Refused`."""
        ...


class Installed(Mapping[str, str]):
    """Installed distributions, looked up when asked for: the truth at this moment."""

    def __getitem__(self, name: str) -> str:
        """Return the version of a distribution; KeyError when it is not installed."""
        try:
            return importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            raise KeyError(name) from None

    def __iter__(self) -> Iterator[str]:
        """Yield the names of all distributions."""
        return iter({dist.name for dist in importlib.metadata.distributions()})

    def __len__(self) -> int:
        """Return how many distributions there are."""
        return len(list(iter(self)))


class ChainAuthority:
    """The owner's side over chain and store.

    Parameters
    ----------
    gatekeeper : Gatekeeper
        Of the asset that this SuperNode guards.
    open_jobs : callable
        Returns the ids of the open jobs on the market, for a run that names none.
    """

    def __init__(self, gatekeeper: Gatekeeper, open_jobs: Callable[[], list[Hex32]]) -> None:
        self._gatekeeper, self._open_jobs = gatekeeper, open_jobs
        self._fabs: dict[tuple[Hex32, Hex32 | None], Hex32] = {}

    def resolve(self, artefact: Hex32, hints: Hints) -> Accepted:
        """Return the one job whose registered bundles build exactly these FAB bytes.

        A named job is only where to look: the FAB has to be the one that it runs here.

        Raises
        ------
        Refused
            OPERATION_MISMATCH: no job of this asset runs these bytes; JOB_AMBIGUOUS: several
            do and none is named; or why a document can't be read.
        """
        if hints.job is not None:
            found = self._match(hints.job, artefact)
            if found is None:
                raise _mismatch(f"job {hints.job[:10]}… does not run it at this asset")
            return found
        matches = [match for job in self._open_jobs() if (match := self._try(job, artefact))]
        if not matches:
            raise _mismatch("no open job runs it at this asset")
        if len(matches) > 1:
            raise Refused(
                Reason.JOB_AMBIGUOUS, f"{len(matches)} open jobs run this app at this asset."
            )
        return matches[0]

    def authorize(
        self, accepted: Accepted, facts: RunFacts, kind: MessageKind, records: Records
    ) -> Lease:
        """Decide on one message; see `Gatekeeper.authorize`."""
        return self._gatekeeper.authorize(
            job=accepted.job,
            run=str(facts.run.run_id),
            bundle=accepted.bundle,
            artefact=facts.artefact,
            kind=kind,
            parameters=facts.parameters,
            records=records,
            installed=Installed(),
            request=facts.hints.request,
        )

    def _try(self, job: Hex32, artefact: Hex32) -> Accepted | None:
        """Match a job that nobody named: one that is not the asset's, or is broken, is no match."""
        try:
            return self._match(job, artefact)
        except Refused as refusal:
            if refusal.reason in (Reason.CHAIN_UNREACHABLE, Reason.WRONG_CHAIN):
                raise
            return None

    def _match(self, job: Hex32, artefact: Hex32) -> Accepted | None:
        for work in self._gatekeeper.work(job):
            if self._artefact(work) == artefact:
                return Accepted(job, work.document.bundle)
        return None

    def _artefact(self, work: Work) -> Hex32 | None:
        """Return the sha256 of the FAB that a job's registered bundles build; kept, it is fixed."""
        if work.document.kind not in ("client", "app"):
            return None
        server = work.server if work.document.kind == "client" else None
        key = (work.document.bundle, server.bundle if server else None)
        if key not in self._fabs:
            client = self._gatekeeper.bundle(work.document)
            other = self._gatekeeper.bundle(server) if server else None
            try:
                self._fabs[key] = sha256_hex(build_fab(client, other))
            except BadInputError as error:
                raise Refused(Reason.OPERATION_MISMATCH, error.message) from None
        return self._fabs[key]


def _mismatch(why: str) -> Refused:
    return Refused(
        Reason.OPERATION_MISMATCH,
        f"The app's bytes are not what the registered bundles build: {why}.",
    )
