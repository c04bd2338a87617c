"""Question and answer of `AuthorizationView.snapshot`, coded by hand.

web3's ABI coder takes 113 ms for the snapshot of 1,000 DTs; slicing words takes 3 ms.
All structs of the view are static, so their words stand one after another.
"""

from collections.abc import Mapping, Sequence

from datatoken.authorization.view import ChainState, Grant, Job, OperationRecord, Record
from datatoken.chain.abi import WORD, array32, selector, uint, word32
from datatoken.chain.words import Words
from datatoken.errors import ChainUnreachableError
from datatoken.types import ZERO32, Hex32, JobStatus

SNAPSHOT_LEAST_WORDS = 20

_SNAPSHOT = selector("snapshot(bytes32,bytes32[],bytes32[],bytes32[])")
_JOB_WORDS = 8
_TOKEN_WORDS = 8
_OPERATION_WORDS = 5


def encode_snapshot(
    job: Hex32, edges: Sequence[tuple[Hex32, Hex32]], operations: Sequence[Hex32]
) -> bytes:
    """Return the call data of `snapshot` for pairs (DT, parent) and operations."""
    dts = array32([dt for dt, _ in edges])
    parents = array32([parent for _, parent in edges])
    tails = (dts, parents, array32(list(operations)))
    offset = 4 * WORD
    offsets = []
    for tail in tails:
        offsets.append(uint(offset))
        offset += len(tail)
    return b"".join((_SNAPSHOT, word32(job), *offsets, *tails))


def snapshot_chain(words: Words) -> int:
    """Return the chain id that a snapshot says it is of."""
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
        block_number=words.small(base + 1),
        time=words.small(base + 2),
        counter=words.small(base + 3),
        job=_job(words, job_at, job),
        head=words.head(after),
        round=words.small(after + 1),
        records={
            dt: decode_record(words, at, owner_active=words.number(at + 7) == 1)
            for (dt, _), at in zip(edges, range(tokens, 1 << 62, _TOKEN_WORDS), strict=False)
        },
        grants=_grants(words, grants, edges),
        announcements={dt: words.hex32(announced + i) for i, (dt, _) in enumerate(edges)},
        operations={
            operation: decode_operation(words, operated + i * _OPERATION_WORDS)
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


def decode_status(value: int) -> JobStatus:
    """Return a job status; an unknown number is no answer of ours."""
    try:
        return JobStatus(value)
    except ValueError as error:
        raise ChainUnreachableError(f"The chain answered with job status {value}.") from error


def _job(words: Words, at: int, job: Hex32) -> Job:
    return Job(
        id=job,
        status=decode_status(words.number(at)),
        task=words.small(at + 1),
        task_open=words.number(at + 2) == 1,
        guarantor=words.address(at + 3),
        guarantor_registered=words.number(at + 4) == 1,
        recorder=words.address(at + 5),
        posted_at=words.small(at + 6),
        algorithm=words.hex32(at + 7),
    )


def decode_record(words: Words, at: int, *, owner_active: bool) -> Record:
    """Return the DT record whose seven words start at `at`."""
    return Record(
        owner=words.address(at),
        kind=words.small(at + 1),
        children=words.small(at + 2),
        minted_at=words.small(at + 3),
        salt=words.small(at + 4),
        proof=words.hex32(at + 5),
        ddo=words.hex32(at + 6),
        owner_active=owner_active,
    )


def decode_operation(words: Words, at: int) -> OperationRecord:
    """Return the operation record whose five words start at `at`."""
    return OperationRecord(
        bundle=words.hex32(at),
        metadata=words.hex32(at + 1),
        publisher=words.address(at + 2),
        kind=words.small(at + 3),
        retired=words.number(at + 4) == 1,
    )
