"""Which block several endpoints agree on: pure functions of what they said."""

from collections import Counter
from collections.abc import Collection, Hashable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from datatoken.chain.abi import from_hex
from datatoken.errors import BadInputError, ChainUnreachableError
from datatoken.types import Hex32

_MILLISECONDS_ABOVE = 10**11
_LARGEST = 2**63
_AnswerT = TypeVar("_AnswerT", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Block:
    """A block as an endpoint shows it; `time` is in seconds, whatever the chain counts in."""

    number: int
    hash: Hex32
    time: float


def parse_block(header: Any) -> Block:
    """Return the block that an endpoint's header describes.

    Raises
    ------
    ChainUnreachableError
        When it is no header: the endpoint has not got the block, or is no node.
    """
    try:
        number, time = int(header["number"], 16), int(header["timestamp"], 16)
        digest = str(header["hash"]).lower()
        from_hex(digest, 32)
        if not (0 <= number < _LARGEST and 0 <= time < _LARGEST):
            raise ValueError("out of range")
    except (BadInputError, LookupError, TypeError, ValueError) as error:
        raise ChainUnreachableError("The chain's endpoint has no such block.") from error
    return Block(number, digest, time / 1000 if time > _MILLISECONDS_ABOVE else float(time))


def majority(endpoints: int) -> int:
    """Return how many of `endpoints` have to agree where nothing else is said."""
    return endpoints // 2 + 1


def agreed(answers: Mapping[str, _AnswerT], quorum: int) -> _AnswerT | None:
    """Return the answer that `quorum` endpoints gave, or None.

    Where two answers have enough voices, neither is believed.
    """
    counts = Counter(answers.values())
    found = [answer for answer, count in counts.items() if count >= quorum]
    return found[0] if len(found) == 1 else None


def settled(heads: Collection[Block], quorum: int) -> bool:
    """Tell whether nobody needs to be waited for: `quorum` share the highest head."""
    if len(heads) < quorum:
        return False
    top = max(head.number for head in heads)
    counts = Counter(head for head in heads if head.number == top)
    return max(counts.values()) >= quorum


def reached_by(numbers: Collection[int], quorum: int) -> int:
    """Return the highest number that `quorum` of them have reached.

    Fewer than `quorum` liars can neither raise it nor, where `quorum` others are honest and
    answer, lower it.
    """
    return sorted(numbers, reverse=True)[quorum - 1]


def candidates(heads: Collection[Block], quorum: int) -> list[int]:
    """Return the block numbers to try, highest first: those that `quorum` have reached."""
    highest = reached_by([head.number for head in heads], quorum)
    return sorted({head.number for head in heads if head.number <= highest}, reverse=True)
