"""Shares as bytes: a magic word, the number of parts, then each part with its length."""

import struct
from pathlib import Path
from typing import Any

from spu import libspu

from .failure import SHARES_UNFIT, Failure

MAGIC = b"DTSHARE1"
MAX_PARTS = 100_000


def pack(share: Any) -> bytes:
    """Return one share's bytes: its metadata, then its chunks."""
    parts = [bytes(share.meta), *map(bytes, share.share_chunks)]
    framed = b"".join(struct.pack("<Q", len(part)) + part for part in parts)
    return MAGIC + struct.pack("<I", len(parts)) + framed


def unpack(content: bytes, what: str) -> Any:
    """Return the share in some bytes; raise `Failure` when they are none."""
    parts = []
    try:
        if content[: len(MAGIC)] != MAGIC:
            raise ValueError
        (count,) = struct.unpack_from("<I", content, len(MAGIC))
        offset = len(MAGIC) + 4
        if not 2 <= count <= MAX_PARTS:
            raise ValueError
        for _ in range(count):
            (length,) = struct.unpack_from("<Q", content, offset)
            offset += 8
            if offset + length > len(content):
                raise ValueError
            parts.append(content[offset : offset + length])
            offset += length
        if offset != len(content):
            raise ValueError
    except (ValueError, struct.error):
        raise Failure(SHARES_UNFIT, f"{what} is no share.") from None
    share = libspu.Share()
    share.meta, share.share_chunks = parts[0], parts[1:]
    return share


def read_share(path: Path, what: str) -> Any:
    """Read a share from a file; raise `Failure`."""
    try:
        return unpack(path.read_bytes(), what)
    except OSError:
        raise Failure(SHARES_UNFIT, f"{what} did not come.") from None


def alike(share: Any, reference: Any) -> bool:
    """Whether a share has the form of one made here: shape, ring, protocol, visibility, sizes."""
    return bool(share.meta == reference.meta) and [len(c) for c in share.share_chunks] == [
        len(c) for c in reference.share_chunks
    ]
