"""Commitments to one's own shares: sha256(salt ‖ what is committed to), a fresh salt each.

Only the last checkpoint's salt leaves the process, for the receivers of the results.
"""

import hashlib
import os
from collections.abc import Mapping

SALT_BYTES = 32


def commit(salt: bytes, content: bytes) -> str:
    """Return the commitment to some bytes."""
    return "0x" + hashlib.sha256(salt + content).hexdigest()


def fresh_salt() -> bytes:
    """Return a new salt."""
    return os.urandom(SALT_BYTES)


def listing(digests: Mapping[str, str]) -> bytes:
    """Return one line for each file or variable: what checkpoints other than the last cover."""
    return "".join(f"{name} {digests[name]}\n" for name in sorted(digests)).encode()


def sha256(content: bytes) -> str:
    """Return the sha256 as hex with 0x."""
    return "0x" + hashlib.sha256(content).hexdigest()
