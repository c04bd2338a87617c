"""HTTP to a service that may lie, drip or flood: bounded in bytes and in time, no redirects."""

import json
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import parse_json
from datatoken.errors import BadInputError
from datatoken.service.problems import ServiceCode, ServiceError

DEFAULT_TIMEOUT = 10.0
MAX_REPLY = 32 * 1024 * 1024


class ServiceHttp:
    """A kept-alive connection to one service. Thread-safe.

    Parameters
    ----------
    endpoint : str
        ``http://host:port`` or ``https://host:port``, with an optional path.
    timeout : float
        Seconds for one call, from connecting to the last byte.

    Raises
    ------
    BadInputError
        When the endpoint is not a URL of this kind.
    """

    def __init__(self, endpoint: str, timeout: float = DEFAULT_TIMEOUT) -> None:
        try:
            parts = urlsplit(endpoint)
            well = parts.scheme in ("http", "https") and parts.hostname and not parts.query
        except ValueError:  # brackets that hold no IPv6 address
            well = False
        if not well:
            raise BadInputError(
                f"The recorder's endpoint {endpoint!r} is not an address of the web.",
                "It looks like https://recorder.example:9095.",
            )
        self.endpoint = endpoint.rstrip("/")
        self.timeout = timeout
        # Settings of the environment (proxies, .netrc) must not redirect a trusted endpoint.
        self._http = httpx.Client(
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            transport=httpx.HTTPTransport(retries=1),
        )

    def call(
        self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> Any:
        """Make one call and return its parsed JSON.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE when there is no answer, or none that is JSON.
        ServiceError
            When the service says no.
        """
        try:
            status, content = self._exchange(method, path, body, headers or {})
            plain = parse_json(content, "answer", MAX_REPLY)
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise self._unreachable(type(error).__name__) from error
        except BadInputError as error:
            raise self._unreachable(error.message) from error
        if status != httpx.codes.OK:
            raise self._problem(status, plain)
        return plain

    def _exchange(
        self, method: str, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[int, bytes]:
        deadline = time.monotonic() + self.timeout
        headers = {"content-type": "application/json", **headers} if body else headers
        url = self.endpoint + path
        with self._http.stream(method, url, content=body, headers=headers) as reply:
            parts: list[bytes] = []
            size = 0
            for part in reply.iter_bytes():
                parts.append(part)
                size += len(part)
                if size > MAX_REPLY:
                    raise BadInputError(f"the answer exceeds {MAX_REPLY} bytes")
                if time.monotonic() > deadline:
                    raise TimeoutError
            return reply.status_code, b"".join(parts)

    def _unreachable(self, why: str) -> Refused:
        return Refused(
            Reason.RECORDER_UNREACHABLE, f"The recorder at {self.endpoint} gave no answer: {why}."
        )

    def _problem(self, status: int, plain: Any) -> ServiceError | Refused:
        try:
            return ServiceError(ServiceCode(plain["code"]), str(plain["message"])[:500])
        except (ValueError, KeyError, TypeError):
            return self._unreachable(f"HTTP status {status}")

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._http.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connections."""
        self.close()


def json_bytes(plain: Any) -> bytes:
    """Return compact JSON bytes."""
    return json.dumps(plain, separators=(",", ":")).encode()
