"""Reads of a gate: one eth_call at one block for each question, decoded by hand.

web3's ABI coder takes 113 ms for the snapshot of 1,000 DTs; slicing words takes 3 ms.
All structs of `AuthorizationView` are static, so their words stand one after another.
"""

from collections.abc import Mapping, Sequence
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
from datatoken.chain.abi import WORD, array32, selector, to_address, to_hex, uint, word32
from datatoken.chain.rpc import Rpc, refuse_other_chain
from datatoken.errors import ChainUnreachableError
from datatoken.types import ZERO32, Address, Hex32, JobStatus

if TYPE_CHECKING:
    from datatoken.chain.deployment import Deployment

VIEW_GAS = 50_000_000

_CHECK = selector("check(bytes32)")
_SNAPSHOT = selector("snapshot(bytes32,bytes32[],bytes32[],bytes32[])")
_TOKEN = selector("token(bytes32)")
_OPERATION = selector("operation(bytes32)")
_JOB = selector("job(bytes32)")
_TASK = selector("task(uint64)")
_GRANT_WORD = selector("grantWord(bytes32,bytes32)")
_INSTITUTION = selector("institution(address)")
_IS_PARTICIPANT = selector("isParticipant(address)")
_HEAD = selector("head(bytes32,address)")
_ANNOUNCEMENTS = selector("announcements(bytes32,bytes32)")

_JOB_WORDS = 8
_TOKEN_WORDS = 8
_OPERATION_WORDS = 5


class Words:
    """An answer of the EVM as 32-byte words."""

    def __init__(self, content: bytes, least: int = 0) -> None:
        if len(content) < least * WORD:
            raise ChainUnreachableError(
                "The chain's answer is too short.",
                "Does the deployment file name contracts of this chain?",
            )
        self._content = content

    def word(self, index: int) -> bytes:
        """Return word `index`."""
        word = self._content[index * WORD : (index + 1) * WORD]
        if len(word) != WORD:
            raise ChainUnreachableError("The chain's answer ends early.")
        return word

    def hex32(self, index: int) -> Hex32:
        """Return word `index` as hex."""
        return to_hex(self.word(index))

    def address(self, index: int) -> Address:
        """Return the address in word `index`."""
        return to_address(self.word(index))

    def number(self, index: int) -> int:
        """Return word `index` as an unsigned integer."""
        return int.from_bytes(self.word(index), "big")

    def head(self, index: int) -> str:
        """Return the bytes28 in word `index`."""
        return to_hex(self.word(index)[:28])

    def array(self, offset_at: int, base: int, width: int, expected: int) -> int:
        """Return the first word of a dynamic array that must hold `expected` items."""
        start, rest = divmod(self.number(offset_at), WORD)
        if rest or start > len(self._content) // WORD:
            raise ChainUnreachableError("The chain's answer is malformed.")
        found = self.number(base + start)
        if found != expected:
            raise ChainUnreachableError(
                f"The chain answered with {found} items where {expected} were asked for."
            )
        first = base + start + 1
        if (first + expected * width) * WORD > len(self._content):
            raise ChainUnreachableError("The chain's answer ends early.")
        return first


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
        self._verified = False

    def verify(self) -> None:
        """Compare the endpoint's chain id with the network's (one RPC).

        Raises
        ------
        WrongChainError
            When the endpoint serves another chain.
        """
        self.rpc.verify_chain(self.network.chain_id)
        self._verified = True

    def _call(self, to: Address, data: bytes, least: int) -> Words:
        """Call; the chain id is compared once before the first answer is believed."""
        if not self._verified:
            self.verify()
        return self._call_unverified(to, data, least)

    def _call_unverified(self, to: Address, data: bytes, least: int) -> Words:
        try:
            answer = self.rpc.eth_call(to, data, block=self.finality, gas=self.view_gas)
            return Words(answer, least)
        except ChainUnreachableError:
            # Another node may answer next time: compare its chain id again.
            self._verified = False
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
            counter=words.number(0),
            status=_status(words.number(1)),
            head=words.head(2),
            round=words.number(3),
            block_number=words.number(4),
            time=words.number(5),
        )

    def snapshot(
        self,
        job: Hex32,
        edges: Sequence[tuple[Hex32, Hex32]],
        operations: Sequence[Hex32] = (),
    ) -> ChainState:
        """Return everything that a decision reads from the chain, in exactly one RPC.

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
        data = _encode_snapshot(job, edges, operations)
        words = self._call_unverified(self.network.view, data, 20)
        refuse_other_chain(_snapshot_chain(words), self.network.chain_id, self.rpc.urls[0])
        self._verified = True
        return decode_snapshot(words, job, edges, operations)

    def record(self, dt: Hex32) -> Record:
        """Return the record of a DT; `exists` is false when it was never minted.

        `owner_active` is read by a second call only in `snapshot`; here it is true.
        """
        words = self._call(self.network.tokens, _TOKEN + word32(dt), 7)
        return _record(words, 0, owner_active=True)

    def operation(self, operation: Hex32) -> OperationRecord:
        """Return the record of an operation; `exists` is false when there is none."""
        words = self._call(self.network.operations, _OPERATION + word32(operation), 5)
        return _operation(words, 0)

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
        data = _INSTITUTION + bytes(12) + bytes.fromhex(account[2:])
        words = self._call(self.network.institutions, data, 3)
        active = words.number(1) == 1
        start = words.number(0) // WORD
        size = words.number(start)
        text = b"".join(words.word(start + 1 + i) for i in range(-(-size // WORD)))[:size]
        return text.decode("utf-8", errors="replace"), active

    def is_participant(self, account: Address) -> bool:
        """Tell whether an account is an active institution or an enrolled user of one."""
        data = _IS_PARTICIPANT + bytes(12) + bytes.fromhex(account[2:])
        return self._call(self.network.institutions, data, 1).number(0) == 1

    def head(self, job: Hex32, sender: Address) -> tuple[str, int]:
        """Return head and round number of a sender's log of a job."""
        data = _HEAD + word32(job) + bytes(12) + bytes.fromhex(sender[2:])
        words = self._call(self.network.log, data, 2)
        return words.head(0), words.number(1)

    def announcement(self, job: Hex32, composite: Hex32) -> Hex32:
        """Return the digest of the announced compute request, or `ZERO32`."""
        data = _ANNOUNCEMENTS + word32(job) + word32(composite)
        return self._call(self.network.market, data, 1).hex32(0)


def _encode_snapshot(
    job: Hex32, edges: Sequence[tuple[Hex32, Hex32]], operations: Sequence[Hex32]
) -> bytes:
    dts = array32([dt for dt, _ in edges])
    parents = array32([parent for _, parent in edges])
    tails = (dts, parents, array32(list(operations)))
    offset = 4 * WORD
    offsets = []
    for tail in tails:
        offsets.append(uint(offset))
        offset += len(tail)
    return b"".join((_SNAPSHOT, word32(job), *offsets, *tails))


def _snapshot_chain(words: Words) -> int:
    base, rest = divmod(words.number(0), WORD)
    if base != 1 or rest:
        raise ChainUnreachableError("The chain's answer is malformed.")
    return words.number(base)


def decode_snapshot(
    words: Words,
    job: Hex32,
    edges: Sequence[tuple[Hex32, Hex32]],
    operations: Sequence[Hex32],
) -> ChainState:
    """Decode the answer of `AuthorizationView.snapshot` to the question that was asked."""
    base = 1  # the struct is dynamic: word 0 is its offset
    job_at = base + 4
    after = job_at + _JOB_WORDS
    tokens = words.array(after + 2, base, _TOKEN_WORDS, len(edges))
    grants = words.array(after + 3, base, 1, len(edges))
    announced = words.array(after + 4, base, 1, len(edges))
    operated = words.array(after + 5, base, _OPERATION_WORDS, len(operations))
    return ChainState(
        chain_id=words.number(base),
        block_number=words.number(base + 1),
        time=words.number(base + 2),
        counter=words.number(base + 3),
        job=_job(words, job_at, job),
        head=words.head(after),
        round=words.number(after + 1),
        records={
            dt: _record(words, at, owner_active=words.number(at + 7) == 1)
            for (dt, _), at in zip(edges, range(tokens, 1 << 62, _TOKEN_WORDS), strict=False)
        },
        grants=_grants(words, grants, edges),
        announcements={dt: words.hex32(announced + i) for i, (dt, _) in enumerate(edges)},
        operations={
            operation: _operation(words, operated + i * _OPERATION_WORDS)
            for i, operation in enumerate(operations)
        },
    )


def _grants(
    words: Words, first: int, edges: Sequence[tuple[Hex32, Hex32]]
) -> Mapping[tuple[Hex32, Hex32], Grant]:
    return {
        (parent, dt): Grant.from_word(words.number(first + i))
        for i, (dt, parent) in enumerate(edges)
        if parent != ZERO32
    }


def _status(value: int) -> JobStatus:
    try:
        return JobStatus(value)
    except ValueError as error:
        raise ChainUnreachableError(f"The chain answered with job status {value}.") from error


def _job(words: Words, at: int, job: Hex32) -> Job:
    return Job(
        id=job,
        status=_status(words.number(at)),
        task=words.number(at + 1),
        task_open=words.number(at + 2) == 1,
        guarantor=words.address(at + 3),
        guarantor_registered=words.number(at + 4) == 1,
        recorder=words.address(at + 5),
        posted_at=words.number(at + 6),
        algorithm=words.hex32(at + 7),
    )


def _record(words: Words, at: int, *, owner_active: bool) -> Record:
    return Record(
        owner=words.address(at),
        kind=words.number(at + 1),
        children=words.number(at + 2),
        minted_at=words.number(at + 3),
        salt=words.number(at + 4),
        proof=words.hex32(at + 5),
        ddo=words.hex32(at + 6),
        owner_active=owner_active,
    )


def _operation(words: Words, at: int) -> OperationRecord:
    return OperationRecord(
        bundle=words.hex32(at),
        metadata=words.hex32(at + 1),
        publisher=words.address(at + 2),
        kind=words.number(at + 3),
        retired=words.number(at + 4) == 1,
    )
