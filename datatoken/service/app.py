"""HTTP face of the recorder: Flask routes that read bytes, call `Recorder`, answer JSON."""

import json
import time
from collections.abc import Callable
from typing import Any

from flask import Flask, Response, request

from datatoken.ddo.canonical import canonical_bytes, parse_json, validate
from datatoken.errors import BadInputError
from datatoken.rounds.receipts import Delegation
from datatoken.service import web
from datatoken.service.client import DELEGATION
from datatoken.service.logger import RoundLogger
from datatoken.service.metrics import CONTENT_TYPE, Metrics
from datatoken.service.openapi import openapi
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.service.recorder import MAX_NAMING_BYTES, MAX_RECEIPT_BYTES, Recorder
from datatoken.service.rendezvous import MAX_INTRODUCTION_BYTES, Rendezvous
from datatoken.service.web import body, hex_id, json_answer
from datatoken.types import Address

_MAX_DELEGATION = 4096
_MAX_SINCE = 2**32


def create_app(
    recorder: Recorder,
    logger: RoundLogger,
    rendezvous: Rendezvous,
    *,
    clock: Callable[[], float] = time.time,
) -> Flask:
    """Return the WSGI application of a recorder.

    Parameters
    ----------
    recorder : Recorder
    logger : RoundLogger
        Its state is what ``/healthz`` tells.
    rendezvous : Rendezvous
        Where MPC parties leave their introductions.
    clock : callable
        Returns Unix time in seconds; signed requests are judged by it.
    """
    app = Flask("datatoken.recorder", static_folder=None)
    metrics = Metrics("recorder")

    def signer(content: bytes = b"") -> tuple[Address, Delegation | None]:
        account = web.signer(recorder.address, int(clock()), recorder.spend, content)
        return account, _delegation(request.headers.get(DELEGATION))

    @app.post("/receipts")
    def receipts() -> Response:
        return json_answer(canonical_bytes(recorder.accept(body(MAX_RECEIPT_BYTES))))

    @app.get("/jobs/<job>/documents")
    def documents(job: str) -> Response:
        account, delegation = signer()
        page = recorder.documents(hex_id(job), account, delegation, web.number("since", _MAX_SINCE))
        return json_answer(b'{"documents":[' + b",".join(page) + b"]}")

    @app.get("/jobs/<job>/proofs/<receipt>")
    def proof(job: str, receipt: str) -> Response:
        account, delegation = signer()
        found = recorder.proof(hex_id(job), account, delegation, hex_id(receipt))
        return json_answer(canonical_bytes(found))

    @app.post("/jobs/<job>/rounds")
    def rounds(job: str) -> Response:
        content = body(MAX_NAMING_BYTES)
        account, delegation = signer(content)
        recorder.name(hex_id(job), account, delegation, content)
        return json_answer(b"{}")

    @app.post("/jobs/<job>/introductions")
    def introduce(job: str) -> Response:
        content = body(MAX_INTRODUCTION_BYTES)
        account, delegation = signer(content)
        rendezvous.introduce(hex_id(job), account, delegation, content)
        return json_answer(b"{}")

    @app.get("/jobs/<job>/introductions")
    def introductions(job: str) -> Response:
        account, delegation = signer()
        asked = hex_id(request.args.get("request", ""))
        found = rendezvous.introductions(hex_id(job), account, delegation, asked)
        return json_answer(b'{"introductions":[' + b",".join(found) + b"]}")

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
        return json_answer(json.dumps(found).encode(), 200 if well else 503)

    @app.get("/metrics")
    def metrics_text() -> Response:
        gauges = recorder.totals()
        gauges |= {"log_failures": logger.failures, "stuck_jobs": len(logger.stuck)}
        return Response(metrics.text(gauges), content_type=CONTENT_TYPE)

    web.install(app, metrics, openapi())
    return app


def _delegation(text: str | None) -> Delegation | None:
    if text is None:
        return None
    try:
        plain: Any = parse_json(text.encode(), "delegation", _MAX_DELEGATION)
        return validate(Delegation, plain, "delegation")
    except (BadInputError, UnicodeEncodeError):
        raise ServiceError(ServiceCode.MALFORMED, "The delegation is malformed.") from None
