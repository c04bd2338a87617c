"""An IPFS node behind the library ipfshttpclient, for those whose tools build on it.

The library puts calls together and reads answers. Left alone it would buffer them whole, wait on
drips for ever, follow redirects and read proxy settings from the environment (its last release
is of 2021). So what its HTTP session would send goes through `NodeHttp`, which caps bytes and
time before the library sees an answer, and `VerifyingStore` hashes every block, as with
`KuboStore`.
"""

import importlib
import io
import ipaddress
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from datatoken.errors import BadInputError, LocalEnvironmentError, StoreError
from datatoken.store.answers import MAX_ANSWER, check_import, json_lines
from datatoken.store.car import car_of
from datatoken.store.cid import cid_of
from datatoken.store.node_http import CALL_SECONDS, NodeHttp
from datatoken.text import show_address
from datatoken.types import Hex32, sha256_hex


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
    BadInputError
        When ipfshttpclient cannot work with the address.
    LocalEnvironmentError
        When ipfshttpclient is not installed.
    """

    def __init__(self, url: str, *, pin: bool = True) -> None:
        self._pin = pin
        self._lock = threading.Lock()
        self._limit, self._deadline = MAX_ANSWER, 0.0
        self._lines: list[dict[str, Any]] = []
        self._library, self._requests = _library("ipfshttpclient"), _library("requests")
        try:
            self._client = self._library.Client(multiaddress(url), session=True)
        except self._library.exceptions.AddressError:
            raise BadInputError(
                f"ipfshttpclient does not know the host of {show_address(url)}.",
                "Name the store by its http:// URL.",
            ) from None
        self._node = NodeHttp(url)
        session = self._client._client._session
        session.trust_env = False
        session.send = self._send

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._node.close()

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
            except (
                self._library.exceptions.Error,
                *(AssertionError, AttributeError, LookupError, OSError, TypeError, ValueError),
            ):
                raise StoreError("ipfshttpclient cannot read the IPFS node's answer.") from None

    def _send(self, request: Any, **_: Any) -> Any:
        """Carry out a request of the library's session, and give the answer as its own would."""
        command = request.path_url.removeprefix("/api/v0/")
        body = request.body or b""
        answer = self._node.post(
            command,
            self._deadline,
            limit=self._limit,
            content=body if isinstance(body, bytes) else b"".join(body),
            headers={k: v for k, v in request.headers.items() if k.lower() == "content-type"},
        )
        if command.partition("?")[0] != "block/get":
            # The library's own parser goes as deep as it is led.
            self._lines = json_lines(answer)
        response = self._requests.Response()
        response.request, response.url, response.status_code = request, request.url, 200
        response._content, response._content_consumed = answer, True
        return response


def multiaddress(url: str) -> str:
    """Return the multiaddress of an HTTP URL: ``/ip4/127.0.0.1/tcp/5001/http``."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        kind = f"ip{ipaddress.ip_address(host).version}"
    except ValueError:
        kind = "dns"
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return f"/{kind}/{host}/tcp/{port}/{parts.scheme}"


def _library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise LocalEnvironmentError(
            "ipfshttpclient is not installed.",
            "Install it (pip install 'datatoken[ipfs]'), or name the store by its http:// URL.",
        ) from None
