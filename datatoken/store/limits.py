"""Limits on what is read from a store, and the budget of one reading."""

import time
from dataclasses import dataclass

from datatoken.errors import StoreError

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a reader takes from a store that it does not trust.

    Parameters
    ----------
    block_bytes : int
        Largest block; 1 MiB is what every IPFS node exchanges.
    total_bytes : int
        Most bytes of one file, all its blocks together.
    blocks : int
        Most blocks of one file.
    depth : int
        Most levels of a file's tree.
    seconds : float
        Deadline of one call, however slowly bytes drip.
    """

    block_bytes: int = MIB
    total_bytes: int = 64 * MIB
    blocks: int = 4096
    depth: int = 8
    seconds: float = 30.0


class Budget:
    """What is left of the limits during one call."""

    def __init__(self, limits: Limits, total_bytes: int) -> None:
        self._limits = limits
        self._blocks = limits.blocks
        self._bytes = min(total_bytes, limits.total_bytes)
        self.deadline = time.monotonic() + limits.seconds

    def next_block(self, depth: int) -> int:
        """Return how large the next block may be.

        Raises
        ------
        StoreError
            When depth, count or time are used up.
        """
        if depth > self._limits.depth:
            raise StoreError(f"The file's tree is deeper than {self._limits.depth} levels.")
        if self._blocks == 0:
            raise StoreError(f"The file has more than {self._limits.blocks} blocks.")
        if time.monotonic() > self.deadline:
            raise StoreError(
                f"The store did not deliver within {self._limits.seconds:g} seconds.",
                "Try again, or use another store.",
            )
        self._blocks -= 1
        return self._limits.block_bytes

    def spend(self, size: int) -> None:
        """Take a file's bytes off the budget.

        Raises
        ------
        StoreError
            When the file is larger than allowed.
        """
        self._bytes -= size
        if self._bytes < 0:
            raise StoreError("The file is larger than allowed.")
