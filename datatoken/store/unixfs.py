"""Files larger than one block, as UnixFS trees: encode and decode nodes, no I/O.

Balanced trees, raw leaves of 1 MiB, at most 1,024 links a node (Kubo's profile
unixfs-v1-2025, IPIP-499), so that `ipfs add` under that profile gives the same CIDs.
Sources: the dag-pb and UnixFS specifications.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datatoken.errors import StoreError
from datatoken.store.cid import Codec, cid_bytes, parse_cid_bytes, varint

CHUNK_BYTES = 1024 * 1024
MAX_LINKS = 1024
_FILE_TYPES = (0, 2)  # raw, file
_VARINT_BITS = 63


@dataclass(frozen=True, slots=True)
class Link:
    """A child in a tree: its CID, the bytes of its subtree, the file's bytes in it."""

    codec: Codec
    digest: bytes
    tree_bytes: int
    file_bytes: int


@dataclass(frozen=True, slots=True)
class Node:
    """A decoded node: file bytes of its own, then links in order."""

    data: bytes
    links: tuple[tuple[Codec, bytes], ...]
    sizes: tuple[int, ...]


def build_tree(content: bytes, put: Callable[[bytes], bytes]) -> Link:
    """Store `content` as a tree and return its root.

    Parameters
    ----------
    content : bytes
        The file.
    put : Callable[[bytes], bytes]
        Keeps a block and returns its 32-byte digest; called leaves first.
    """
    starts = range(0, max(len(content), 1), CHUNK_BYTES)
    level = [_leaf(content[at : at + CHUNK_BYTES], put) for at in starts]
    while len(level) > 1:
        groups = [level[at : at + MAX_LINKS] for at in range(0, len(level), MAX_LINKS)]
        level = [_parent(group, put) for group in groups]
    return level[0]


def _leaf(chunk: bytes, put: Callable[[bytes], bytes]) -> Link:
    return Link(Codec.RAW, put(chunk), len(chunk), len(chunk))


def _parent(links: Sequence[Link], put: Callable[[bytes], bytes]) -> Link:
    block = encode_node(links)
    return Link(
        Codec.DAG_PB,
        put(block),
        len(block) + sum(link.tree_bytes for link in links),
        sum(link.file_bytes for link in links),
    )


def encode_node(links: Sequence[Link]) -> bytes:
    """Return the block of an inner node of a file."""
    out = bytearray()
    for link in links:
        cid = cid_bytes(link.digest, link.codec)
        body = _field(1, cid) + _field(2, b"") + b"\x18" + varint(link.tree_bytes)
        out += _field(2, body)
    unixfs = bytearray(b"\x08\x02\x18" + varint(sum(link.file_bytes for link in links)))
    for link in links:
        unixfs += b"\x20" + varint(link.file_bytes)
    return bytes(out) + _field(1, bytes(unixfs))


def decode_node(block: bytes) -> Node:
    """Decode a dag-pb block that is a file.

    Raises
    ------
    StoreError
        When it is malformed, or not a file.
    """
    data = b""
    links: list[tuple[Codec, bytes]] = []
    for number, value in _fields(block):
        if number == 1 and isinstance(value, bytes):
            data = value
        elif number == 2 and isinstance(value, bytes):
            links.append(_decode_link(value))
        else:
            raise StoreError("The store holds a malformed node.")
    kind, own, sizes = _decode_unixfs(data)
    if kind not in _FILE_TYPES:
        raise StoreError("The CID names something else than a file.")
    if len(sizes) != len(links) or len(links) > MAX_LINKS:
        raise StoreError("The store holds a node whose links and sizes disagree.")
    return Node(own, tuple(links), tuple(sizes))


def _decode_link(body: bytes) -> tuple[Codec, bytes]:
    for number, value in _fields(body):
        if number == 1 and isinstance(value, bytes):
            try:
                return parse_cid_bytes(value)
            except ValueError as error:
                raise StoreError("The store holds a node with a link of another kind.") from error
    raise StoreError("The store holds a node with an empty link.")


def _decode_unixfs(data: bytes) -> tuple[int, bytes, list[int]]:
    kind, own, sizes = -1, b"", []
    for number, value in _fields(data):
        if number == 1 and isinstance(value, int):
            kind = value
        elif number == 2 and isinstance(value, bytes):
            own = value
        elif number == 4 and isinstance(value, int):
            sizes.append(value)
    return kind, own, sizes


def _field(number: int, value: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + varint(len(value)) + value


def _read_varint(content: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while shift < _VARINT_BITS and at < len(content):
        byte = content[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return value, at
        shift += 7
    raise StoreError("The store holds a malformed node.")


def _fields(content: bytes) -> list[tuple[int, int | bytes]]:
    """Return the protobuf fields of a message: varints and byte strings only."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(content):
        tag, at = _read_varint(content, at)
        value, at = _read_varint(content, at)
        if tag & 7 == 0:
            found.append((tag >> 3, value))
        elif tag & 7 == 2 and at + value <= len(content):
            found.append((tag >> 3, content[at : at + value]))
            at += value
        else:
            raise StoreError("The store holds a malformed node.")
    return found
