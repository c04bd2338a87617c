"""The open jobs of a market, for a run that names none.

Job ids follow from chain, market and a running number, so they can be counted off without
an event log: the first number without a job ends the list.
"""

from typing import Protocol

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.view import Check, Network
from datatoken.errors import ChainUnreachableError, WrongChainError
from datatoken.types import Hex32, JobStatus

MAX_SEARCHED = 256


class JobReader(Protocol):
    """What is read from the chain (`datatoken.chain.reader.ChainReader`)."""

    network: Network

    def check(self, job: Hex32) -> Check:
        """Return the job's status among other things, in one RPC."""
        ...


def job_id(network: Network, number: int) -> Hex32:
    """Return the id of the market's job `number`, from 1."""
    packed = encode(["uint256", "address", "uint256"], [network.chain_id, network.market, number])
    return "0x" + keccak(packed).hex()


class OpenJobs:
    """Lists the open jobs of a market, newest first; closed ones are asked about once.

    Parameters
    ----------
    reader : JobReader
    most : int
        Jobs looked at; an older one has to be named by its run.
    """

    def __init__(self, reader: JobReader, most: int = MAX_SEARCHED) -> None:
        self._reader, self._most = reader, most
        self._closed: set[Hex32] = set()
        self._last = 0

    def __call__(self) -> list[Hex32]:
        """Return the ids of open jobs.

        Raises
        ------
        Refused
            CHAIN_UNREACHABLE, WRONG_CHAIN.
        """
        try:
            self._last = self._count()
            newest = range(self._last, max(0, self._last - self._most), -1)
            return [job for number in newest if self._is_open(job := self._job(number))]
        except WrongChainError as error:
            raise Refused(Reason.WRONG_CHAIN, error.message) from error
        except ChainUnreachableError as error:
            raise Refused(Reason.CHAIN_UNREACHABLE, error.message) from error

    def _job(self, number: int) -> Hex32:
        return job_id(self._reader.network, number)

    def _exists(self, number: int) -> bool:
        return self._reader.check(self._job(number)).status is not JobStatus.NONE

    def _is_open(self, job: Hex32) -> bool:
        if job in self._closed:
            return False
        status = self._reader.check(job).status
        if status is JobStatus.CLOSED:
            self._closed.add(job)
        return status is JobStatus.OPEN

    def _count(self) -> int:
        """Return the number of the last job: double until there is none, then halve."""
        low, step = self._last, 1
        while self._exists(low + step):
            low, step = low + step, step * 2
        high = low + step
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if self._exists(middle) else (low, middle)
        return low
