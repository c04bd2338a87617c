"""Words of the EVM: selectors, 32-byte words, hex and back. No ABI coder on the hot path."""

from functools import lru_cache

from eth_utils.crypto import keccak

from datatoken.errors import BadInputError
from datatoken.types import Address, Hex32

WORD = 32


@lru_cache(maxsize=256)
def selector(signature: str) -> bytes:
    """Return the 4-byte selector of a function or error signature."""
    return keccak(text=signature)[:4]


def from_hex(value: str, size: int) -> bytes:
    """Return the bytes of `value` (hex with 0x), which must be `size` bytes long.

    Raises
    ------
    BadInputError
        When it is anything else.
    """
    try:
        content = bytes.fromhex(value[2:]) if value.startswith("0x") else b""
    except (ValueError, AttributeError, TypeError) as error:
        raise BadInputError(f"{value!r} is not {size} bytes in hex.") from error
    if len(content) != size:
        raise BadInputError(f"{value!r} is not {size} bytes in hex.")
    return content


def word32(value: Hex32) -> bytes:
    """Return a 32-byte value as a word."""
    return from_hex(value, WORD)


def address_word(value: Address) -> bytes:
    """Return an account as a word."""
    return bytes(12) + from_hex(value, 20)


def uint(value: int) -> bytes:
    """Return an unsigned integer as a word."""
    return value.to_bytes(WORD, "big")


def array32(values: list[Hex32] | tuple[Hex32, ...]) -> bytes:
    """Return the tail of a `bytes32[]`: its length, then its words."""
    return uint(len(values)) + b"".join(word32(value) for value in values)


def to_hex(content: bytes) -> str:
    """Return `content` as hex with 0x."""
    return "0x" + content.hex()


def to_address(word: bytes) -> Address:
    """Return the address in a word."""
    return "0x" + word[-20:].hex()
