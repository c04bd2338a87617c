"""An IPFS node behind the Kubo RPC API: blocks in by CAR, out by `block/get`.

Nothing that the node answers is believed: `VerifyingStore` hashes every block. Here are the
caps on bytes and time; redirects are not followed, and nothing is unpacked.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import httpx

from datatoken.errors import StoreError
from datatoken.store.answers import MAX_ANSWER, check_import, json_lines, late, refused
from datatoken.store.car import car_of
from datatoken.store.cid import cid_of
from datatoken.types import Hex32, sha256_hex

PUT_SECONDS = 30.0


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
        self.url, self._pin = url.rstrip("/"), pin
        self._client = httpx.Client(
            base_url=f"{self.url}/api/v0/",
            follow_redirects=False,
            trust_env=False,
            transport=httpx.HTTPTransport(),  # certificates: SSL_CERT_FILE counts
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

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
        answer = self._call("dag/import", query, time.monotonic() + PUT_SECONDS, files=files)
        check_import(json_lines(answer), digest)
        return digest

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        """Return what the node gives for the digest; at most `limit` bytes, in time."""
        until = deadline if deadline is not None else time.monotonic() + PUT_SECONDS
        return self._call("block/get", {"arg": cid_of(digest)}, until, limit=limit)

    def has(self, digest: Hex32) -> bool:
        """Tell whether the node says that it has the block at hand, without asking its peers."""
        query = {"arg": cid_of(digest), "offline": "true"}
        try:
            self._call("block/stat", query, time.monotonic() + PUT_SECONDS)
        except StoreError:
            return False
        return True

    def _call(
        self,
        command: str,
        query: dict[str, str],
        deadline: float,
        *,
        files: dict[str, tuple[str, bytes, str]] | None = None,
        limit: int = MAX_ANSWER,
    ) -> bytes:
        with (
            self._outages(),
            self._client.stream(
                "POST", command, params=query, files=files, timeout=_left(deadline)
            ) as response,
        ):
            if response.is_success:
                return _read(response, limit, deadline)
            known = response.status_code == 500
            answer = _read(response, MAX_ANSWER, deadline) if known else b""
            raise refused(command, response.status_code, answer)

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            raise late() from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise StoreError(
                f"The IPFS node at {self.url} is out of reach: {type(error).__name__}.",
                "Start it, or give the address of another one.",
            ) from None


def _read(response: httpx.Response, limit: int, deadline: float) -> bytes:
    """Read a body as it is sent: the cap is on what goes over the wire."""
    if response.headers.get("content-encoding", "identity") != "identity":
        raise StoreError("The IPFS node sent a compressed answer.")
    parts, size = [], 0
    for part in response.iter_raw():
        size += len(part)
        if size > limit:
            raise StoreError(f"The IPFS node sent more than {limit} bytes.")
        if time.monotonic() > deadline:
            raise late()
        parts.append(part)
    return b"".join(parts)


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise late()
    return left
