"""HTTP to a service that may lie, drip or flood: bounded in bytes and in time, no redirects."""

import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx

from datatoken.authorization.reasons import Reason, Refused
from datatoken.bounded_http import PLAIN, BoundedTransport, OversizedError, raw_parts, within
from datatoken.ddo.canonical import parse_json
from datatoken.errors import BadInputError, DataTokenError
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.strict_json import is_crowded

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
    certificates : Path, optional
        The only certificates that are trusted (PEM); by default those of public authorities.

    Raises
    ------
    BadInputError
        When the endpoint is not a URL of this kind, or the certificates are none.
    """

    service = "recorder"
    """What it is, in errors."""

    def __init__(
        self, endpoint: str, timeout: float = DEFAULT_TIMEOUT, certificates: Path | None = None
    ) -> None:
        try:
            parts = urlsplit(endpoint)
            well = parts.scheme in ("http", "https") and parts.hostname and not parts.query
        except ValueError:  # brackets that hold no IPv6 address
            well = False
        if not well:
            raise BadInputError(
                f"The {self.service}'s endpoint {endpoint!r} is not an address of the web.",
                "It looks like https://host.example:9095.",
            )
        self.endpoint = endpoint.rstrip("/")
        self.timeout = timeout
        # Settings of the environment (proxies, .netrc) must not redirect a trusted endpoint.
        self._http = httpx.Client(
            timeout=timeout,
            trust_env=False,
            follow_redirects=False,
            transport=BoundedTransport(_trust(certificates), retries=1),
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
            with self.stream(method, path, body, headers) as (status, parts):
                content = b"".join(parts)
            if is_crowded(content):
                raise BadInputError("the answer has too many values")
            plain = parse_json(content, "answer", MAX_REPLY)
        except BadInputError as error:
            raise self._unreachable(error.message) from error
        if status != httpx.codes.OK:
            raise self._problem(status, plain)
        return plain

    @contextmanager
    def stream(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        headers: dict[str, str] | None = None,
        *,
        limit: int | None = None,
        timeout: float | None = None,
    ) -> Iterator[tuple[int, Iterator[bytes]]]:
        """Make one call; give status and content, which must be read before leaving.

        Raises
        ------
        Refused, BadInputError
            As `call`; BadInputError when the content is longer than `limit`.
        """
        until = within(time.monotonic() + (timeout or self.timeout))
        sent = {
            **PLAIN,
            **({"content-type": "application/json"} if body else {}),
            **(headers or {}),
        }
        try:
            with self._http.stream(
                method, self.endpoint + path, content=body, headers=sent, timeout=until
            ) as got:
                yield got.status_code, raw_parts(got, limit or MAX_REPLY)
        except OversizedError as error:
            raise BadInputError(str(error)) from error
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise self._unreachable(_why(error)) from error

    def _unreachable(self, why: str) -> DataTokenError:
        return Refused(
            Reason.RECORDER_UNREACHABLE, f"The recorder at {self.endpoint} gave no answer: {why}."
        )

    def _problem(self, status: int, plain: Any) -> DataTokenError:
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


def _why(error: Exception) -> str:
    if "CERTIFICATE_VERIFY_FAILED" in str(error):
        return "its certificate is none that is trusted here"
    if isinstance(error, httpx.DecodingError):
        return str(error)
    return type(error).__name__


def _trust(certificates: Path | None) -> ssl.SSLContext | bool:
    if certificates is None:
        return True
    try:
        return ssl.create_default_context(cafile=str(certificates))
    except (OSError, ssl.SSLError) as error:
        raise BadInputError(
            f"The certificates {certificates} can't be used: {error}.", "Give a PEM file."
        ) from None


def json_bytes(plain: Any) -> bytes:
    """Return compact JSON bytes."""
    return json.dumps(plain, separators=(",", ":")).encode()
