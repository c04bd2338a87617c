"""An IPFS node behind the library ipfshttpclient, for those whose tools build on it.

The library buffers whole answers, waits on drips for ever, follows redirects and reads proxy
settings from the environment (its last release is of 2021). So its HTTP session is held here:
bytes and time are capped before the library sees an answer, and `VerifyingStore` hashes every
block, as with `KuboStore`.
"""

import importlib
import io
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from datatoken.errors import LocalEnvironmentError, StoreError
from datatoken.store.answers import MAX_ANSWER, check_import, json_lines, late, refused
from datatoken.store.car import car_of
from datatoken.store.cid import cid_of
from datatoken.types import Hex32, sha256_hex

CALL_SECONDS = 30.0
_PART = 64 * 1024


class IpfsClientStore:
    """A store over `ipfshttpclient.Client`; one call at a time.

    Parameters
    ----------
    url : str
        Of the node's RPC API, for example ``http://127.0.0.1:5001``.
    pin : bool
        Whether blocks that are put are pinned.

    Raises
    ------
    LocalEnvironmentError
        When ipfshttpclient is not installed.
    """

    def __init__(self, url: str, *, pin: bool = True) -> None:
        self.url, self._pin = url.rstrip("/"), pin
        self._lock = threading.Lock()
        self._limit, self._deadline = MAX_ANSWER, 0.0
        self._lines: list[dict[str, Any]] = []
        self._library = _library()
        self._client = self._library.Client(multiaddress(self.url), session=True)
        session = self._client._client._session
        session.trust_env = False
        session.verify = os.environ.get("SSL_CERT_FILE") or True  # as the other clients
        self._send, session.send = session.send, self._send_bounded

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
        car = io.BytesIO(car_of(digest, content))
        opts = {"pin-roots": "true" if self._pin else "false"}
        with self._call(MAX_ANSWER, time.monotonic() + CALL_SECONDS):
            self._client.dag.imprt(car, opts=opts)
            check_import(self._lines, digest)
        return digest

    def get(self, digest: Hex32, limit: int, deadline: float | None = None) -> bytes:
        """Return what the node gives for the digest; at most `limit` bytes, in time."""
        until = deadline if deadline is not None else time.monotonic() + CALL_SECONDS
        with self._call(limit, until):
            return bytes(self._client.block.get(cid_of(digest)))

    def has(self, digest: Hex32) -> bool:
        """Tell whether the node says that it has the block at hand, without asking its peers."""
        try:
            with self._call(MAX_ANSWER, time.monotonic() + CALL_SECONDS):
                self._client.block.stat(cid_of(digest), offline=True)
        except StoreError:
            return False
        return True

    @contextmanager
    def _call(self, limit: int, deadline: float) -> Iterator[None]:
        with self._lock:
            self._limit, self._deadline, self._lines = limit, deadline, []
            try:
                yield
            except self._library.exceptions.TimeoutError:
                raise late() from None
            except (AssertionError, AttributeError, LookupError, TypeError, ValueError):
                raise StoreError("ipfshttpclient cannot read the IPFS node's answer.") from None
            except (self._library.exceptions.Error, OSError) as error:
                raise StoreError(
                    f"The IPFS node at {self.url} is out of reach: {type(error).__name__}.",
                    "Start it, or give the address of another one.",
                ) from None

    def _send_bounded(self, request: Any, **options: Any) -> Any:
        """Send a request of the library's, and read its answer within the caps."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise late()
        response = self._send(request, **options | {"allow_redirects": False, "timeout": left})
        try:
            command = urlsplit(request.url).path.removeprefix("/api/v0/")
            known = response.status_code in (200, 500)
            limit = self._limit if response.ok else MAX_ANSWER
            body = self._body(response, limit) if known else b""
            if response.status_code != 200:
                raise refused(command, response.status_code, body)
            if command != "block/get":
                # The library's own parser goes as deep as it is led.
                self._lines = json_lines(body)
            response._content, response._content_consumed = body, True
            return response
        except BaseException:
            response.close()
            raise

    def _body(self, response: Any, limit: int) -> bytes:
        if response.headers.get("content-encoding", "identity") != "identity":
            raise StoreError("The IPFS node sent a compressed answer.")
        parts, size = [], 0
        while part := response.raw.read1(_PART):
            size += len(part)
            if size > limit:
                raise StoreError(f"The IPFS node sent more than {limit} bytes.")
            if time.monotonic() > self._deadline:
                raise late()
            parts.append(part)
        response.raw.release_conn()
        return b"".join(parts)


def multiaddress(url: str) -> str:
    """Return the multiaddress of an HTTP URL: ``/ip4/127.0.0.1/tcp/5001/http``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    kind = "ip6" if ":" in host else "ip4" if host.replace(".", "").isdigit() else "dns"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"


def _library() -> Any:
    try:
        return importlib.import_module("ipfshttpclient")
    except ImportError:
        raise LocalEnvironmentError(
            "ipfshttpclient is not installed.",
            "Install it (pip install 'datatoken[ipfs]'), or name the store by its http:// URL.",
        ) from None
