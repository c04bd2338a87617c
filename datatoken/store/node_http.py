"""HTTP to an IPFS node's RPC API that may lie, drip or flood; below both clients.

Bytes and time are capped here; redirects are not followed, nothing is unpacked, and proxies of
the environment are not asked. Nothing that comes back is believed: `VerifyingStore` hashes it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import httpx

from datatoken.bounded_http import PLAIN, BoundedTransport, OversizedError, read_body, within
from datatoken.errors import StoreError
from datatoken.store.answers import MAX_ANSWER, late, refused
from datatoken.text import show_address

File = tuple[str, bytes, str]
"""Name, content and media type of a file in a form."""

CALL_SECONDS = 30.0
"""What a call may take when nobody says otherwise."""


class NodeHttp:
    """Calls of a node's RPC API (``/api/v0``). Thread-safe.

    Parameters
    ----------
    url : str
        ``http://host:port`` or ``https://host:port``.
    """

    def __init__(self, url: str) -> None:
        self.shown = show_address(url)
        self._client = httpx.Client(
            base_url=f"{url.rstrip('/')}/api/v0/",
            follow_redirects=False,
            trust_env=False,
            transport=BoundedTransport(),  # certificates: SSL_CERT_FILE counts
            headers=PLAIN,
        )

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def post(
        self,
        command: str,
        deadline: float,
        *,
        limit: int = MAX_ANSWER,
        query: Mapping[str, str] | None = None,
        files: Mapping[str, File] | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> bytes:
        """Carry out one command and return its answer.

        Parameters
        ----------
        command : str
            For example ``block/get``; may have a query.
        deadline : float
            Moment of `time.monotonic` at which the call ends, whatever the node sends.
        limit : int
            Most bytes of an answer.
        query : Mapping[str, str], optional
            Parameters of the command.
        files : Mapping[str, File], optional
            Files to send as a form.
        content : bytes, optional
            Body to send instead of a form.
        headers : Mapping[str, str], optional
            Headers that belong to the body.

        Raises
        ------
        StoreError
            When the node is out of reach, late, sends too much, or refuses.
        """
        with (
            self._outages(),
            self._client.stream(
                "POST",
                command,
                params=query,
                files=files,
                content=content,
                headers=headers,
                timeout=within(deadline),
            ) as response,
        ):
            if response.is_success:
                return _read(response, limit)
            answer = _read(response, MAX_ANSWER) if response.status_code == 500 else b""
            raise refused(command.partition("?")[0], response.status_code, answer)

    @contextmanager
    def _outages(self) -> Iterator[None]:
        try:
            yield
        except httpx.TimeoutException:
            raise late() from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError) as error:
            raise StoreError(
                f"The IPFS node at {self.shown} is out of reach: {type(error).__name__}.",
                "Start it, or give the address of another one.",
            ) from None


def _read(response: httpx.Response, limit: int) -> bytes:
    try:
        return read_body(response, limit)
    except OversizedError:
        raise StoreError(f"The IPFS node sent more than {limit} bytes.") from None
    except httpx.DecodingError:
        raise StoreError("The IPFS node sent a compressed answer, unasked.") from None
