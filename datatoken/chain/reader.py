"""Reads of a gate: one eth_call at one block for each question."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from datatoken.authorization.view import (
    ChainState,
    Check,
    Grant,
    Job,
    Network,
    OperationRecord,
    Record,
)
from datatoken.chain.abi import WORD, address_word, selector, uint, word32
from datatoken.chain.rpc import Rpc, refuse_other_chain
from datatoken.chain.snapshot import (
    SNAPSHOT_LEAST_WORDS,
    decode_operation,
    decode_record,
    decode_snapshot,
    decode_status,
    encode_snapshot,
    snapshot_chain,
)
from datatoken.chain.words import Words
from datatoken.errors import ChainUnreachableError
from datatoken.types import ZERO32, Address, Hex32

if TYPE_CHECKING:
    from datatoken.chain.deployment import Deployment

VIEW_GAS = 50_000_000
RECORDS_AT_ONCE = 1_000
GAS_A_RECORD = 40_000
"""What a record may cost in a view call: 18,000 for each of 1,000 records, more for more."""

_CHECK = selector("check(bytes32)")
_TOKEN = selector("token(bytes32)")
_OPERATION = selector("operation(bytes32)")
_JOB = selector("job(bytes32)")
_TASK = selector("task(uint64)")
_GRANT_WORD = selector("grantWord(bytes32,bytes32)")
_INSTITUTION = selector("institution(address)")
_IS_PARTICIPANT = selector("isParticipant(address)")
_HEAD = selector("head(bytes32,address)")
_ANNOUNCEMENTS = selector("announcements(bytes32,bytes32)")


class ChainReader:
    """Reads of the deployed contracts, each at one block.

    Parameters
    ----------
    rpc : Rpc
        Connection to the chain.
    network : Network or Deployment
        Chain id and contracts that the owner trusts.
    finality : str
        Block to read at: the profile's `finality`.
    view_gas : int
        Gas that a view call may use: the profile's `view_gas`.
    """

    def __init__(
        self,
        rpc: Rpc,
        network: "Network | Deployment",
        *,
        finality: str = "latest",
        view_gas: int = VIEW_GAS,
    ) -> None:
        self.rpc = rpc
        self.network = network if isinstance(network, Network) else network.network()
        self.finality = finality
        self.view_gas = view_gas
        self._verified: set[str | None] = set()

    def verify(self) -> None:
        """Compare the endpoint's chain id with the network's (one RPC).

        Raises
        ------
        WrongChainError
            When the endpoint serves another chain.
        """
        self.rpc.verify_chain(self.network.chain_id)
        self._verified.add(self.rpc.answered_by)

    def _call(self, to: Address, data: bytes, least: int) -> Words:
        """Call; each endpoint's chain id is compared once before an answer of it is believed."""
        if not self._verified:
            self.verify()
        words = self._call_unverified(to, data, least)
        answered = self.rpc.answered_by
        if answered not in self._verified:  # the next endpoint has stepped in
            self.verify()
            if answered not in self._verified:
                raise ChainUnreachableError("The chain's endpoints come and go.")
        return words

    def _call_unverified(
        self, to: Address, data: bytes, least: int, block: str | None = None
    ) -> Words:
        try:
            answer = self.rpc.eth_call(to, data, block=block or self.finality, gas=self.view_gas)
            return Words(answer, least)
        except ChainUnreachableError:
            # Another node may answer next time: compare its chain id again.
            self._verified.clear()
            raise

    def check(self, job: Hex32) -> Check:
        """Return counter, status, head, round, block and time in exactly one RPC.

        The very first read of a reader costs one more, for the chain id.

        Raises
        ------
        ChainUnreachableError
            When no endpoint answers.
        WrongChainError
            When the endpoint serves another chain.
        """
        words = self._call(self.network.view, _CHECK + word32(job), 6)
        return Check(
            counter=words.small(0),
            status=decode_status(words.number(1)),
            head=words.head(2),
            round=words.small(3),
            block_number=words.small(4),
            time=words.small(5),
        )

    def snapshot(
        self,
        job: Hex32,
        edges: Sequence[tuple[Hex32, Hex32]],
        operations: Sequence[Hex32] = (),
    ) -> ChainState:
        """Return everything that a decision reads from the chain, at one block.

        One RPC for up to 1,000 pairs, one more for each further 1,000 of them; for fewer where
        the profile's `view_gas` is less than 40 million.

        Parameters
        ----------
        job : Hex32
            Job id.
        edges : Sequence[tuple[Hex32, Hex32]]
            Pairs (DT, parent); the parent of the algorithm DT is `ZERO32`.
        operations : Sequence[Hex32]
            Operation ids.

        Raises
        ------
        ChainUnreachableError
            When no endpoint answers.
        WrongChainError
            When the endpoint serves another chain.
        """
        size = max(1, min(RECORDS_AT_ONCE, self.view_gas // GAS_A_RECORD))
        found = self._snapshot(job, edges[:size], operations)
        for start in range(size, len(edges), size):
            # The rest is read where the first part was.
            block = hex(found.block_number)
            part = self._snapshot(job, edges[start : start + size], (), block)
            found = _joined(found, part)
        return found

    def _snapshot(
        self,
        job: Hex32,
        edges: Sequence[tuple[Hex32, Hex32]],
        operations: Sequence[Hex32],
        block: str | None = None,
    ) -> ChainState:
        data = encode_snapshot(job, edges, operations)
        words = self._call_unverified(self.network.view, data, SNAPSHOT_LEAST_WORDS, block)
        refuse_other_chain(snapshot_chain(words), self.network.chain_id, self.rpc.urls[0])
        self._verified.add(self.rpc.answered_by)
        return decode_snapshot(words, job, edges, operations)

    def records(self, dts: Sequence[Hex32]) -> dict[Hex32, Record]:
        """Return the records of many DTs, all at one block; one RPC for each 1,000 of them.

        Raises
        ------
        ChainUnreachableError, WrongChainError
            As `snapshot`.
        """
        return dict(self.snapshot(ZERO32, [(dt, ZERO32) for dt in dts]).records) if dts else {}

    def record(self, dt: Hex32) -> Record:
        """Return the record of a DT; `exists` is false when it was never minted.

        `owner_active` is read by a second call only in `snapshot`; here it is true.
        """
        words = self._call(self.network.tokens, _TOKEN + word32(dt), 7)
        return decode_record(words, 0, owner_active=True)

    def operation(self, operation: Hex32) -> OperationRecord:
        """Return the record of an operation; `exists` is false when there is none."""
        words = self._call(self.network.operations, _OPERATION + word32(operation), 5)
        return decode_operation(words, 0)

    def job(self, job: Hex32) -> Job:
        """Return a job with the state of its task and guarantor (one RPC, one block)."""
        return self.snapshot(job, ()).job

    def task(self, task: int) -> tuple[Address, int, int, Hex32]:
        """Return owner, status (0 none, 1 open, 2 closed), creation time and description."""
        words = self._call(self.network.market, _TASK + uint(task), 4)
        return words.address(0), words.number(1), words.number(2), words.hex32(3)

    def grant(self, parent: Hex32, child: Hex32) -> Grant:
        """Return the grant slot of (parent, child)."""
        data = _GRANT_WORD + word32(parent) + word32(child)
        return Grant.from_word(self._call(self.network.tokens, data, 1).number(0))

    def institution(self, account: Address) -> tuple[str, bool]:
        """Return the name of an institution and whether it is active."""
        data = _INSTITUTION + address_word(account)
        words = self._call(self.network.institutions, data, 3)
        active = words.number(1) == 1
        start = words.number(0) // WORD
        size = words.number(start)
        text = b"".join(words.word(start + 1 + i) for i in range(-(-size // WORD)))[:size]
        return text.decode("utf-8", errors="replace"), active

    def is_participant(self, account: Address) -> bool:
        """Tell whether an account is an active institution or an enrolled user of one."""
        data = _IS_PARTICIPANT + address_word(account)
        return self._call(self.network.institutions, data, 1).number(0) == 1

    def head(self, job: Hex32, sender: Address) -> tuple[str, int]:
        """Return head and round number of a sender's log of a job."""
        data = _HEAD + word32(job) + address_word(sender)
        words = self._call(self.network.log, data, 2)
        return words.head(0), words.number(1)

    def announcement(self, job: Hex32, composite: Hex32) -> Hex32:
        """Return the digest of the announced compute request, or `ZERO32`."""
        data = _ANNOUNCEMENTS + word32(job) + word32(composite)
        return self._call(self.network.market, data, 1).hex32(0)


def _joined(first: ChainState, part: ChainState) -> ChainState:
    """Return a snapshot with the records of a further part, which must be of the same block."""
    if (part.block_number, part.time, part.counter) != (
        first.block_number,
        first.time,
        first.counter,
    ):
        raise ChainUnreachableError("The chain moved while it was read.", "Try again.")
    return replace(
        first,
        records={**first.records, **part.records},
        grants={**first.grants, **part.grants},
        announcements={**first.announcements, **part.announcements},
    )
