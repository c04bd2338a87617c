"""Who signed: EIP-712 typed data and EIP-191 digests, for everything that the SDK verifies."""

from collections.abc import Callable, Mapping
from typing import Any

from eth_account import Account
from eth_account.messages import SignableMessage, encode_defunct, encode_typed_data

from datatoken.types import Address, Hex32

DOMAIN_FIELDS: list[dict[str, str]] = [
    {"name": "name", "type": "string"},
    {"name": "version", "type": "string"},
    {"name": "chainId", "type": "uint256"},
    {"name": "verifyingContract", "type": "address"},
]
"""EIP-712: the domain's type, the same for everything that is signed here."""


def recover_typed(typed_data: Mapping[str, Any], signature: str) -> Address | None:
    """Return the account that signed an EIP-712 message, or None."""
    return _recover(lambda: encode_typed_data(full_message=dict(typed_data)), signature)


def recover_digest(digest: Hex32, signature: str) -> Address | None:
    """Return the account that signed a 32-byte digest (EIP-191), or None."""
    return _recover(lambda: encode_defunct(bytes.fromhex(digest[2:])), signature)


def _recover(message: Callable[[], SignableMessage], signature: str) -> Address | None:
    try:
        return str(Account.recover_message(message(), signature=signature)).lower()
    except Exception:  # eth-keys raises several unrelated types on malformed signatures
        return None
