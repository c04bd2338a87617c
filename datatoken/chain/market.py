"""Typed contracts: the task market, the round log, and the view that gates read."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from datatoken.chain.abi import from_hex, to_hex, word32
from datatoken.chain.contract import Contract, Counting
from datatoken.chain.intents import Transaction
from datatoken.types import ZERO32, Address, Hex32

HEAD_BYTES = 28


@dataclass(frozen=True, slots=True)
class Task:
    """A task of the market. Status: 0 none, 1 open, 2 closed."""

    owner: Address
    status: int
    created_at: int
    description: Hex32


@dataclass(frozen=True, slots=True)
class JobRecord:
    """A job as the market stores it. Status as in `JobStatus`."""

    guarantor: Address
    task: int
    status: int
    recorder: Address
    posted_at: int
    algorithm: Hex32


class TaskMarket(Counting):
    """Tasks, and the jobs that institutions post under them."""

    artifact_name = "TaskMarket"

    def create_task(self, description: Hex32 = ZERO32) -> Transaction:
        """Create a task; its id is in the event `TaskCreated`."""
        return self._write("createTask", word32(description))

    def close_task(self, task: int) -> Transaction:
        """Close a task (its owner)."""
        return self._write("closeTask", task)

    def name_guarantor(
        self, algorithm: Hex32, guarantor: Address, *, named: bool = True
    ) -> Transaction:
        """Let an institution post one's algorithm, or no longer (the algorithm's owner)."""
        return self._write("nameGuarantor", word32(algorithm), guarantor, named)

    def post_job(
        self, task: int, algorithm: Hex32, recorder: Address, below: Sequence[Hex32]
    ) -> Transaction:
        """Post an algorithm DT as a job (guarantor).

        Parameters
        ----------
        task : int
            Open task.
        algorithm : Hex32
            Algorithm DT.
        recorder : Address
            Account that logs the rounds.
        below : Sequence[Hex32]
            All DTs below: a node's children, then each composite child's block, in order.
        """
        words = [word32(dt) for dt in below]
        return self._write("postJob", task, word32(algorithm), recorder, words)

    def announce(self, job: Hex32, composite: Hex32, request: Hex32) -> Transaction:
        """Announce a compute request to those below a composite (its owner)."""
        return self._write("announce", word32(job), word32(composite), word32(request))

    def pause(self, job: Hex32) -> Transaction:
        """Pause a job (guarantor)."""
        return self._write("pause", word32(job))

    def reopen(self, job: Hex32) -> Transaction:
        """Reopen a paused job (guarantor)."""
        return self._write("reopen", word32(job))

    def close(self, job: Hex32) -> Transaction:
        """Close a job for good (guarantor or the algorithm's owner)."""
        return self._write("close", word32(job))

    def task(self, task: int) -> Task:
        """Return a task."""
        owner, status, created_at, description = self._read("task", task)
        return Task(owner, status, created_at, to_hex(description))

    def job(self, job: Hex32) -> JobRecord:
        """Return a job's record."""
        guarantor, task, status, recorder, posted_at, algorithm = self._read("job", word32(job))
        return JobRecord(guarantor, task, status, recorder, posted_at, to_hex(algorithm))

    def is_named(self, algorithm: Hex32, guarantor: Address) -> bool:
        """Tell whether the algorithm's owner named this guarantor."""
        return bool(self._read("isNamed", word32(algorithm), guarantor))

    def announcement(self, job: Hex32, composite: Hex32) -> Hex32:
        """Return the digest of the announced compute request, or `ZERO32`."""
        return to_hex(self._read("announcements", word32(job), word32(composite)))


class RoundLog(Contract):
    """The hash chain of rounds, one head for each (job, sender)."""

    artifact_name = "RoundLog"

    def append(self, job: Hex32, previous: str, document: Hex32) -> Transaction:
        """Append a round document's digest to the head `previous` (bytes28)."""
        head = from_hex(previous, HEAD_BYTES)
        return self._write("append", word32(job), head, word32(document))

    def head(self, job: Hex32, sender: Address) -> tuple[str, int]:
        """Return head and round number of a sender's log of a job."""
        head, number = self._read("head", word32(job), sender)
        return to_hex(head), int(number)


class AuthorizationView(Contract):
    """The bulk reads of gates; `datatoken.chain.reader.ChainReader` decodes them faster."""

    artifact_name = "AuthorizationView"

    def check(self, job: Hex32) -> tuple[int, int, bytes, int, int, int]:
        """Return (counter, status, head, round, block number, time)."""
        counter, status, head, number, block, time = self._read("check", word32(job))
        return counter, status, head, number, block, time

    def snapshot(
        self,
        job: Hex32,
        dts: Sequence[Hex32],
        parents: Sequence[Hex32],
        operations: Sequence[Hex32],
    ) -> tuple[Any, ...]:
        """Return the raw struct `Snapshot`."""
        lists = [[word32(word) for word in words] for words in (dts, parents, operations)]
        values: tuple[Any, ...] = self._read("snapshot", word32(job), *lists)
        return values

    def wiring(self) -> tuple[Address, ...]:
        """Return the five contracts that the view reads, in the order of `Network`."""
        names = ("institutions", "operations", "tokens", "market", "log")
        return tuple(str(self._read(name)) for name in names)
