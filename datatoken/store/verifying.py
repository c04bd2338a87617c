"""The only store that is handed out: every block is hashed before anybody sees a byte."""

from pathlib import Path
from urllib.parse import unquote, urlsplit

from datatoken.errors import BadInputError, StoreError
from datatoken.store.addresses import node_address
from datatoken.store.base import Store, WrongContentError
from datatoken.store.cid import Codec, cid_of, digest_bytes, parse_cid
from datatoken.store.folder import FolderStore
from datatoken.store.ipfs_client import IpfsClientStore
from datatoken.store.kubo import KuboStore
from datatoken.store.limits import Budget, Limits
from datatoken.store.unixfs import build_tree, decode_node
from datatoken.text import show_address
from datatoken.types import Hex32, sha256_hex


class VerifyingStore:
    """Wraps a store that may lie, drip or flood; see `Limits`.

    One raw block carries a DDO, an operation document or a bundle: digest on chain, CID and
    path are then the same 32 bytes. `put_file` and `get_file` carry larger files as trees.

    Parameters
    ----------
    store : Store
        The store itself.
    limits : Limits
        How much is taken from it.
    """

    def __init__(self, store: Store, limits: Limits | None = None) -> None:
        self._store = store
        self.limits = limits or Limits()

    def put(self, content: bytes) -> Hex32:
        """Store one block and return its sha256 digest; safe to repeat.

        Raises
        ------
        BadInputError
            When it is larger than a block may be.
        LocalEnvironmentError
            When the store is not writable.
        StoreError
            When the store names another digest than the content has.
        """
        if len(content) > self.limits.block_bytes:
            raise BadInputError(
                f"The content has {len(content)} bytes; "
                f"a block holds at most {self.limits.block_bytes}.",
                "Make it smaller, or store it as a file of several blocks.",
            )
        digest = sha256_hex(content)
        if self._store.put(content) != digest:
            raise StoreError("The store answered with another digest than the content has.")
        return digest

    def get(self, digest: Hex32, limit: int | None = None) -> bytes:
        """Return the block with this digest.

        Parameters
        ----------
        digest : Hex32
            sha256 of the block, as the chain names it.
        limit : int, optional
            Most bytes that the caller accepts, where less than a block may have.

        Raises
        ------
        BadInputError
            When `digest` is not a digest.
        StoreError
            When the block is missing, too large, late, or other bytes than its digest names.
        """
        most = self.limits.block_bytes if limit is None else min(limit, self.limits.block_bytes)
        budget = Budget(self.limits, most)
        return self._block(digest_bytes(digest), Codec.RAW, budget, 0, most)

    def has(self, digest: Hex32) -> bool:
        """Tell whether the store holds the block, with the right bytes."""
        try:
            self.get(digest)
        except StoreError:
            return False
        return True

    def put_file(self, content: bytes) -> str:
        """Store a file of any size within the limits and return its CID.

        Raises
        ------
        BadInputError
            When it is larger than `Limits.total_bytes`.
        LocalEnvironmentError
            When the store is not writable.
        """
        if len(content) > self.limits.total_bytes:
            raise BadInputError(
                f"The file has {len(content)} bytes; at most {self.limits.total_bytes} are stored."
            )
        root = build_tree(content, lambda block: digest_bytes(self.put(block)))
        return cid_of("0x" + root.digest.hex(), root.codec)

    def get_file(self, cid: str, limit: int | None = None) -> bytes:
        """Return the file with this CID, every block of it verified.

        Raises
        ------
        BadInputError
            When `cid` is not one.
        StoreError
            When a block is missing, wrong or late, or the tree exceeds a limit.
        """
        codec, digest = parse_cid(cid)
        budget = Budget(self.limits, self.limits.total_bytes if limit is None else limit)
        parts: list[bytes] = []
        self._collect(codec, digest, budget, 0, parts)
        return b"".join(parts)

    def _collect(
        self, codec: Codec, digest: bytes, budget: Budget, depth: int, parts: list[bytes]
    ) -> int:
        """Append a subtree's file bytes to `parts` and return how many."""
        block = self._block(digest, codec, budget, depth, None)
        if codec is Codec.RAW:
            budget.spend(len(block))
            parts.append(block)
            return len(block)
        node = decode_node(block)
        budget.spend(len(node.data))
        parts.append(node.data)
        total = len(node.data)
        for (child_codec, child), size in zip(node.links, node.sizes, strict=True):
            found = self._collect(child_codec, child, budget, depth + 1, parts)
            if found != size:
                raise StoreError("The store holds a node whose sizes are wrong.")
            total += found
        return total

    def _block(
        self, digest: bytes, codec: Codec, budget: Budget, depth: int, limit: int | None
    ) -> bytes:
        most = budget.next_block(depth)
        most = most if limit is None else min(limit, most)
        name = "0x" + digest.hex()
        content = self._store.get(name, most, budget.deadline)
        if len(content) > most:
            raise StoreError(f"The block {cid_of(name, codec)} is larger than {most} bytes.")
        if sha256_hex(content) != name:
            raise WrongContentError(
                f"The store holds other bytes than {cid_of(name, codec)} names.",
                "Do not use them; fetch the block from another store.",
            )
        return content


def open_store(url_or_path: str | Path, limits: Limits | None = None) -> VerifyingStore:
    """Open a store: a folder by path or `file://` URL, or an IPFS node by its RPC API's URL.

    ``http://…`` is read by this package's own client, ``ipfshttpclient+http://…`` by the
    library of that name; blocks are verified and budgets kept either way.

    Raises
    ------
    BadInputError
        When it is another kind of address.
    """
    text = str(url_or_path)
    if "://" not in text:
        return VerifyingStore(FolderStore(Path(text)), limits)
    if folder := _folder(text):
        return VerifyingStore(FolderStore(folder), limits)
    if address := node_address(text):
        client = IpfsClientStore if address.library else KuboStore
        return VerifyingStore(client(address.url), limits)
    raise BadInputError(
        f"{show_address(text)} is not a store that this version can open.",
        "Give the path of a folder, a file:// URL, or the URL of a Kubo RPC API: "
        "http://host:5001, without path and query.",
    )


def _folder(url: str) -> Path | None:
    try:
        parts = urlsplit(url)
    except ValueError:
        return None
    if parts.scheme != "file" or parts.netloc not in ("", "localhost"):
        return None
    return Path(unquote(parts.path))
