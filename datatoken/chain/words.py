"""An answer of the EVM, read word by word: no ABI coder on the hot path."""

from datatoken.chain.abi import WORD, to_address, to_hex
from datatoken.errors import ChainUnreachableError
from datatoken.types import Address, Hex32

_SMALL = 2**63
"""What a database keeps: no block, time or counter gets there."""


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

    def small(self, index: int) -> int:
        """Return word `index`, a number that the contracts keep in 64 bits at most."""
        number = self.number(index)
        if number >= _SMALL:
            raise ChainUnreachableError("The chain's answer holds a number out of range.")
        return number

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
