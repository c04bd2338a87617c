"""Rosetta's shares as numbers of its ring, and fresh ones for who opens them.

A share is a text: eight bytes of an integer modulo 2^64, little-endian, and a mark.
"""

import hashlib

import numpy as np

from .talk import Failed

RING = np.dtype("<u8")
WIDTH, MARK = 8, b"#"


def ring(found: np.ndarray) -> np.ndarray:
    """Return shares as integers of the ring, in the same shape."""
    texts = [bytes(text) for text in np.asarray(found, object).ravel()]
    if any(len(text) != WIDTH + 1 or text[WIDTH:] != MARK for text in texts):
        raise Failed("PROGRAM_FAILED", "the operation gave a value that is no share")
    content = b"".join(text[:WIDTH] for text in texts)
    return np.frombuffer(content, RING).reshape(np.shape(found))


def fresh(found: np.ndarray, rank: int, mask: bytes, name: str) -> bytes:
    """Return this party's share of an output, re-randomised.

    Rosetta's own shares depend on what the party put in and on how products were cut, so
    that whoever sees both could learn more than their sum. Ranks 0 and 1 add and subtract a
    pad that nobody else can know.
    """
    own = ring(found).ravel()
    pad = np.frombuffer(_stream(mask + name.encode(), own.nbytes), RING)
    return ((own + pad) if rank == 0 else (own - pad)).tobytes()


def _stream(key: bytes, size: int) -> bytes:
    return hashlib.shake_256(key).digest(size)
