"""HTTP face of the recorder: Flask routes that read bytes, call `Recorder`, answer JSON."""

import json
import time
from collections.abc import Callable
from typing import Any

import structlog
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from datatoken.ddo.canonical import canonical_bytes, parse_json, validate
from datatoken.errors import BadInputError, DataTokenError
from datatoken.rounds.receipts import Delegation
from datatoken.service.client import DELEGATION
from datatoken.service.logger import RoundLogger
from datatoken.service.metrics import CONTENT_TYPE, Metrics
from datatoken.service.openapi import openapi
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.recorder import MAX_NAMING_BYTES, MAX_RECEIPT_BYTES, Recorder
from datatoken.service.signing import SIGNED_HEADERS, verify_request
from datatoken.types import Address, Hex32

log = structlog.get_logger(__name__)
_HEX = frozenset("0123456789abcdef")
_MAX_DELEGATION = 4096
_MAX_SINCE = 2**32


def create_app(
    recorder: Recorder, logger: RoundLogger, *, clock: Callable[[], float] = time.time
) -> Flask:
    """Return the WSGI application of a recorder.

    Parameters
    ----------
    recorder : Recorder
    logger : RoundLogger
        Its state is what ``/healthz`` tells.
    clock : callable
        Returns Unix time in seconds; signed requests are judged by it.
    """
    app = Flask("datatoken.recorder", static_folder=None)
    metrics = Metrics()
    document = json.dumps(openapi())

    def signer(body: bytes = b"") -> tuple[Address, Delegation | None]:
        path = request.full_path if request.query_string else request.path
        account = verify_request(
            {name: request.headers.get(name, "") for name in SIGNED_HEADERS},
            recorder.address,
            request.method,
            path,
            body,
            now=int(clock()),
            spend=recorder.spend,
        )
        return account, _delegation(request.headers.get(DELEGATION))

    @app.post("/receipts")
    def receipts() -> Response:
        return _json(canonical_bytes(recorder.accept(_body(MAX_RECEIPT_BYTES))))

    @app.get("/jobs/<job>/documents")
    def documents(job: str) -> Response:
        account, delegation = signer()
        page = recorder.documents(_id(job), account, delegation, _since())
        return _json(b'{"documents":[' + b",".join(page) + b"]}")

    @app.get("/jobs/<job>/proofs/<receipt>")
    def proof(job: str, receipt: str) -> Response:
        account, delegation = signer()
        found = recorder.proof(_id(job), account, delegation, _id(receipt))
        return _json(canonical_bytes(found))

    @app.post("/jobs/<job>/rounds")
    def rounds(job: str) -> Response:
        body = _body(MAX_NAMING_BYTES)
        account, delegation = signer(body)
        recorder.name(_id(job), account, delegation, body)
        return _json(b"{}")

    @app.get("/healthz")
    def healthz() -> Response:
        well = logger.alive and not logger.stuck and not logger.failures
        found = {
            "status": "ok" if well else "degraded",
            "recorder": recorder.address,
            "logging": logger.alive,
            "failures": logger.failures,
            "stuck_jobs": len(logger.stuck),
        }
        return _json(json.dumps(found).encode(), 200 if well else 503)

    @app.get("/metrics")
    def metrics_text() -> Response:
        gauges = recorder.totals()
        gauges |= {"log_failures": logger.failures, "stuck_jobs": len(logger.stuck)}
        return Response(metrics.text(gauges), content_type=CONTENT_TYPE)

    @app.get("/openapi.json")
    def openapi_json() -> Response:
        return _json(document.encode())

    @app.errorhandler(Exception)
    def refused(error: Exception) -> Response:
        problem = _problem(error)
        if problem.service_code is ServiceCode.INTERNAL:
            log.error("internal error", error=type(error).__name__, endpoint=request.endpoint)
        return _json(json.dumps(problem.body()).encode(), problem.status, code=problem.code)

    @app.after_request
    def counted(response: Response) -> Response:
        outcome = response.headers.pop("DataToken-Code", None) or "OK"
        metrics.count(str(request.endpoint or "unknown"), outcome)
        return response

    return app


def _body(limit: int) -> bytes:
    """Return the request's body; refuse one that is larger before it is read."""
    request.max_content_length = limit
    return request.get_data(cache=False)


def _json(content: bytes, status: int = 200, code: str | None = None) -> Response:
    response = Response(content, status, content_type="application/json")
    response.headers["Cache-Control"] = "no-store"
    if code is not None:
        response.headers["DataToken-Code"] = code
    return response


def _id(text: str) -> Hex32:
    if len(text) != 66 or not text.startswith("0x") or not set(text[2:]) <= _HEX:
        raise ServiceError(ServiceCode.MALFORMED, "An id is 64 hex digits after 0x.")
    return text


def _since() -> int:
    text = request.args.get("since", "0")
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _MAX_SINCE:
        raise ServiceError(ServiceCode.MALFORMED, "`since` is the number of a round.")
    return int(text)


def _delegation(text: str | None) -> Delegation | None:
    if text is None:
        return None
    try:
        plain: Any = parse_json(text.encode(), "delegation", _MAX_DELEGATION)
        return validate(Delegation, plain, "delegation")
    except (BadInputError, UnicodeEncodeError):
        raise ServiceError(ServiceCode.MALFORMED, "The delegation is malformed.") from None


def _problem(error: Exception) -> ServiceError:
    """Translate any exception; what is inside an unexpected one stays inside."""
    if isinstance(error, ServiceError):
        return error
    if isinstance(error, HTTPException):
        known = {
            404: (ServiceCode.NOT_FOUND, "There is nothing at this address."),
            405: (ServiceCode.METHOD_NOT_ALLOWED, "The method is not one of this address."),
            413: (ServiceCode.TOO_LARGE, "The body is larger than this address takes."),
        }
        fallback = (ServiceCode.MALFORMED, "The request is malformed.")
        return ServiceError(*known.get(error.code or 400, fallback))
    if isinstance(error, BadInputError):
        return ServiceError(ServiceCode.MALFORMED, error.message)
    if isinstance(error, DataTokenError):
        return ServiceError(ServiceCode.UPSTREAM, "Chain, store or disk gave no answer.")
    return ServiceError(ServiceCode.INTERNAL, "The recorder failed; see its log.")
