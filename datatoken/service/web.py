"""What the services' Flask apps share: bounded bodies, JSON, problems, metrics, signed calls."""

import json
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from datatoken.errors import BadInputError, DataTokenError
from datatoken.service.metrics import Metrics
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.signing import SIGNED_HEADERS, verify_request
from datatoken.types import Address, Hex32

log = structlog.get_logger(__name__)
CODE = "DataToken-Code"
_HEX = frozenset("0123456789abcdef")
_STATUS = {
    404: (ServiceCode.NOT_FOUND, "There is nothing at this address."),
    405: (ServiceCode.METHOD_NOT_ALLOWED, "The method is not one of this address."),
    413: (ServiceCode.TOO_LARGE, "The body is larger than this address takes."),
}

Spend = Callable[[Address, str, int], bool]
"""Keeps a nonce on disk; returns whether it is new (`datatoken.service.signing`)."""


def body(limit: int) -> bytes:
    """Return the request's body; refuse one that is larger before it is read."""
    request.max_content_length = limit
    return request.get_data(cache=False)


def json_answer(content: bytes, status: int = 200, code: str | None = None) -> Response:
    """Return JSON that nobody may keep; `code` is what the metrics count."""
    response = Response(content, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if code is not None:
        response.headers[CODE] = code
    return response


def hex_id(text: str) -> Hex32:
    """Return an id of a path; raise `ServiceError` when it is none."""
    if len(text) != 66 or not text.startswith("0x") or not set(text[2:]) <= _HEX:
        raise ServiceError(ServiceCode.MALFORMED, "An id is 64 hex digits after 0x.")
    return text


def number(name: str, most: int) -> int:
    """Return a number of the query, 0 where it is left out; raise `ServiceError`."""
    text = request.args.get(name, "0")
    well = text.isascii() and text.isdigit() and len(text) <= 16
    if not well or int(text) > most:
        raise ServiceError(ServiceCode.MALFORMED, f"`{name}` is a number up to {most}.")
    return int(text)


def signer(audience: Address, now: int, spend: Spend, content: bytes = b"") -> Address:
    """Return the account that signed the request at hand; raise `ServiceError`."""
    path = request.full_path if request.query_string else request.path
    return verify_request(
        {name: request.headers.get(name, "") for name in SIGNED_HEADERS},
        audience,
        request.method,
        path,
        content,
        now=now,
        spend=spend,
    )


def problem_of(error: Exception) -> DataTokenError:
    """Translate any exception; what is inside an unexpected one stays inside."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        fallback = (ServiceCode.MALFORMED, "The request is malformed.")
        return ServiceError(*_STATUS.get(error.code or 400, fallback))
    if isinstance(error, BadInputError):
        return ServiceError(ServiceCode.MALFORMED, error.message)
    if isinstance(error, DataTokenError):
        return ServiceError(ServiceCode.UPSTREAM, "Chain, store or disk gave no answer.")
    return ServiceError(ServiceCode.INTERNAL, "The service failed; see its log.")


def answer_of(error: DataTokenError) -> tuple[int, dict[str, Any]]:
    """Return status and body of a problem."""
    if isinstance(error, ServiceError):
        return error.status, error.body()
    return 500, {"code": error.code, "message": error.message, "hint": error.hint}


def install(
    app: Flask,
    metrics: Metrics,
    document: dict[str, Any],
    translate: Callable[[Exception], DataTokenError] = problem_of,
    answer: Callable[[DataTokenError], tuple[int, dict[str, Any]]] = answer_of,
) -> None:
    """Add what every service has: problems as JSON, counted calls, ``/openapi.json``.

    Parameters
    ----------
    document : dict
        The OpenAPI document.
    translate : callable
        Turns any exception into what is answered.
    answer : callable
        Returns HTTP status and body of it.
    """
    described = json.dumps(document).encode()

    @app.get("/openapi.json")
    def openapi_json() -> Response:
        return json_answer(described)

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        problem = translate(error)
        status, plain = answer(problem)
        if status >= 500 and problem is not error:
            log.error("call failed", error=type(error).__name__, endpoint=request.endpoint)
        return json_answer(json.dumps(plain).encode(), status, code=problem.code)

    @app.after_request
    def counted(response: Response) -> Response:
        outcome = response.headers.pop(CODE, None) or "OK"
        metrics.count(str(request.endpoint or "unknown"), outcome)
        return response
