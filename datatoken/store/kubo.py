"""An IPFS node behind the Kubo RPC API: blocks in by CAR, out by `block/get`.

Nothing that the node answers is believed: `VerifyingStore` hashes every block; `NodeHttp` caps
bytes and time.
"""

import time

from datatoken.errors import StoreError
from datatoken.store.answers import check_import, json_lines
from datatoken.store.car import car_of
from datatoken.store.cid import cid_of
from datatoken.store.node_http import CALL_SECONDS, NodeHttp
from datatoken.types import Hex32, sha256_hex


class KuboStore:
    """A store over the RPC API of a Kubo node (``/api/v0``).

    Parameters
    ----------
    url : str
        Of the RPC API, for example ``http://127.0.0.1:5001``.
    pin : bool
        Whether blocks that are put are pinned: what is not may be collected as garbage.
    """

    def __init__(self, url: str, *, pin: bool = True) -> None:
        self._node, self._pin = NodeHttp(url), pin

    def close(self) -> None:
        """Close the connections."""
        self._node.close()

    def put(self, content: bytes) -> Hex32:
        """Import one block, pinned, and return the digest that the node confirms.

        Raises
        ------
        StoreError
            When the node is out of reach, late, refuses, or names another root.
        """
        digest = sha256_hex(content)
        files = {"file": ("block.car", car_of(digest, content), "application/vnd.ipld.car")}
        query = {"pin-roots": "true" if self._pin else "false"}
        answer = self._node.post("dag/import", _soon(), query=query, files=files)
        check_import(json_lines(answer), digest)
        return digest

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        """Return what the node gives for the digest; at most `limit` bytes, in time."""
        until = deadline if deadline is not None else _soon()
        return self._node.post("block/get", until, limit=limit, query={"arg": cid_of(digest)})

    def has(self, digest: Hex32) -> bool:
        """Tell whether the node says that it has the block at hand, without asking its peers."""
        query = {"arg": cid_of(digest), "offline": "true"}
        try:
            self._node.post("block/stat", _soon(), query=query)
        except StoreError:
            return False
        return True


def _soon() -> float:
    return time.monotonic() + CALL_SECONDS
