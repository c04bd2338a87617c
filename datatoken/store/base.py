"""What a store is: blocks by the sha256 of their bytes."""

from typing import Protocol

from datatoken.errors import StoreError
from datatoken.types import Hex32


class WrongContentError(StoreError):
    """The store has got other bytes than their digest names: somebody changed them."""


class Store(Protocol):
    """A place for blocks. What it returns is not believed before it is hashed."""

    def put(self, content: bytes) -> Hex32:
        """Keep a block for good and return its digest; safe to repeat.

        Raises
        ------
        LocalEnvironmentError
            When the place is not writable.
        """
        ...

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        """Return the block with this digest.

        Parameters
        ----------
        digest : Hex32
            sha256 of the block.
        limit : int
            Most bytes to read.
        deadline : float, optional
            Moment of `time.monotonic` after which to give up.

        Raises
        ------
        StoreError
            When the block is missing, larger than `limit` or not there in time.
        """
        ...

    def has(self, digest: Hex32) -> bool:
        """Tell whether the store claims to hold the block."""
        ...
