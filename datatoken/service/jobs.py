"""What a recorder knows of its jobs: who is in them, from chain and store, verified.

Records and documents never change, so what was found once is kept.
"""

import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol

from datatoken.authorization.parties import mpc_parties
from datatoken.authorization.reasons import Refused
from datatoken.authorization.tree import VerifiedTree
from datatoken.authorization.view import Job, Record
from datatoken.ddo.models import Ddo
from datatoken.ddo.terms import Terms
from datatoken.errors import BadInputError, ChainUnreachableError, StoreError
from datatoken.rounds.grouping import Rules
from datatoken.rounds.receipts import Delegation
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address, Hex32, JobStatus

_MOST_JOBS = 1024


class JobReader(Protocol):
    """Reads a job (`datatoken.chain.reader.ChainReader`)."""

    def job(self, job: Hex32) -> Job:
        """Return the job."""
        ...


class TreeReader(Protocol):
    """Reads verified documents and records (`datatoken.roles.documents.Documents`)."""

    def tree(self, algorithm: Hex32) -> VerifiedTree:
        """Return the verified tree of an algorithm."""
        ...

    def find(self, dts: list[Hex32]) -> Mapping[Hex32, Record]:
        """Return the records of those DTs that exist."""
        ...

    def mpc(self, operations: Iterable[Hex32]) -> frozenset[Hex32]:
        """Return those operations that are registered as MPC operations."""
        ...


@dataclass(frozen=True, slots=True)
class JobFacts:
    """A job of this recorder.

    Attributes
    ----------
    owners : mapping of Hex32 to Address
        Owner of every DT in the job's tree; nobody else has a say.
    composites : frozenset of Hex32
        The DTs with children, the algorithm among them: their owners run servers.
    rules : Rules
        The shortest `round_timeout` of those that name this recorder, and the MPC parties.
    """

    job: Job
    owners: Mapping[Hex32, Address]
    composites: frozenset[Hex32]
    rules: Rules

    def vouches(self, delegation: Delegation, node: Address, now: int) -> bool:
        """Tell whether a delegation makes `node` speak for a DT of this job, now."""
        owner = self.owners.get(delegation.dt)
        return (
            delegation.node == node
            and delegation.expiry > now
            and owner is not None
            and delegation.owner() == owner
        )


class Jobs:
    """The jobs that were posted with this recorder.

    Parameters
    ----------
    recorder : Address
        This recorder's account.
    chain : JobReader
    documents : TreeReader
    """

    def __init__(self, recorder: Address, chain: JobReader, documents: TreeReader) -> None:
        self._recorder, self._chain, self._documents = recorder, chain, documents
        self._known: OrderedDict[Hex32, JobFacts] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, job: Hex32) -> JobFacts:
        """Return a job of this recorder, whatever its status.

        Raises
        ------
        ServiceError
            JOB_UNKNOWN, OTHER_RECORDER, or UPSTREAM when chain or store give no answer.
        """
        with self._lock:
            if job in self._known:
                self._known.move_to_end(job)
                return self._known[job]
        facts = self._read(job)
        with self._lock:
            self._known[job] = facts
            while len(self._known) > _MOST_JOBS:
                self._known.popitem(last=False)
        return facts

    def _read(self, job: Hex32) -> JobFacts:
        try:
            found = self._chain.job(job)
            if found.status is JobStatus.NONE:
                raise ServiceError(ServiceCode.JOB_UNKNOWN, f"There is no job {job[:10]}….")
            if found.recorder != self._recorder:
                raise ServiceError(
                    ServiceCode.OTHER_RECORDER, f"Job {job[:10]}… has another recorder."
                )
            tree = self._documents.tree(found.algorithm)
            members = [found.algorithm, *dict.fromkeys(child for _, child in tree.edges())]
            records = self._documents.find(members)
            parties = mpc_parties(tree, self._documents.mpc(tree.operations()))
        except (ChainUnreachableError, StoreError, Refused, BadInputError) as error:
            raise ServiceError(ServiceCode.UPSTREAM, error.message) from error
        composites = {dt: ddo for dt, ddo in tree.ddos.items() if ddo.children}
        return JobFacts(
            job=found,
            owners={dt: record.owner for dt, record in records.items()},
            composites=frozenset(composites),
            rules=Rules(
                timeout=min(
                    (ddo.terms.round_timeout for ddo in composites.values() if self._is_named(ddo)),
                    default=Terms().round_timeout,
                ),
                parties=frozenset(parties),
            ),
        )

    def _is_named(self, ddo: Ddo) -> bool:
        """Tell whether a composite names this recorder: its terms say when a round times out."""
        named = ddo.service.extra_params.recorder
        return named is not None and named.account == self._recorder
