"""HTTP face of an asset service: Flask routes that read bytes, call the desks, answer JSON."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import structlog
from flask import Flask, Response, request, send_file

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import parse_json, validate
from datatoken.errors import DataTokenError
from datatoken.service import web
from datatoken.service.assets import files
from datatoken.service.assets.authorizations import AuthorizationDesk
from datatoken.service.assets.book import AssetBook
from datatoken.service.assets.executor import EVENTS, LOG, RESULTS
from datatoken.service.assets.limits import READS, WRITES, Limiter
from datatoken.service.assets.models import (
    Approval,
    AuthorizationAsk,
    Authorizations,
    Card,
    JobAsk,
    JobRuns,
    Refusal,
    Results,
    RunState,
)
from datatoken.service.assets.openapi import openapi
from datatoken.service.assets.page import CONTENT_POLICY, page
from datatoken.service.assets.runs import RunDesk
from datatoken.service.metrics import CONTENT_TYPE, Metrics, gauge
from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address, Hex32, Model

log = structlog.get_logger(__name__)
MAX_BODY = 16 * 1024
_MAX_SINCE = 2**40
_HEX = frozenset("0123456789abcdef")
_OUT_OF_REACH = frozenset(
    {
        Reason.CHAIN_UNREACHABLE,
        Reason.STORE_UNREACHABLE,
        Reason.RECORDER_UNREACHABLE,
        Reason.STATE_UNAVAILABLE,
    }
)
M = TypeVar("M", bound=Model)


@dataclass(frozen=True)
class AssetService:
    """What the routes call.

    Attributes
    ----------
    card : Card
        What the service says of itself; nobody's visit makes it ask the chain.
    """

    account: Address
    book: AssetBook
    authorizations: AuthorizationDesk
    runs: RunDesk
    card: Card


def create_app(service: AssetService, *, clock: Callable[[], float] = time.time) -> Flask:
    """Return the WSGI application of an asset service.

    Parameters
    ----------
    service : AssetService
    clock : callable
        Returns Unix time in seconds; signed calls are judged by it.
    """
    app = Flask("datatoken.assets", static_folder=None)
    metrics = Metrics("assets")
    reads, writes = Limiter(READS), Limiter(WRITES)

    def spend(account: Address, nonce: str, until: int) -> bool:
        return service.book.spend(account, nonce, until, now=int(clock()))

    def caller(limiter: Limiter = reads, content: bytes = b"") -> Address:
        account = web.signer(service.account, int(clock()), spend, content)
        limiter.take(account, clock())
        return account

    def sent(model: type[M]) -> tuple[Address, M]:
        content = web.body(MAX_BODY)
        account = caller(writes, content)
        plain = parse_json(content, "body", MAX_BODY) if content else {}
        return account, validate(model, plain, "body")

    _authorization_routes(app, service, caller, sent)
    _run_routes(app, service, caller, sent)
    _file_routes(app, service, caller)
    _public_routes(app, service, metrics)
    web.install(app, metrics, openapi(), _translated, _answered)
    return app


Caller = Callable[..., Address]
Sent = Callable[[type[M]], tuple[Address, M]]


def _authorization_routes(
    app: Flask, service: AssetService, caller: Caller, sent: Callable[..., Any]
) -> None:
    desk = service.authorizations

    @app.post("/authorizations")
    def ask() -> Response:
        return _model(desk.ask(*sent(AuthorizationAsk)))

    @app.get("/authorizations")
    def asked() -> Response:
        return _model(Authorizations(authorizations=desk.list(caller())))

    @app.get("/authorizations/<id_>")
    def authorization(id_: str) -> Response:
        return _model(desk.get(caller(), _id(id_)))

    @app.post("/authorizations/<id_>/approve")
    def approve(id_: str) -> Response:
        account, approval = sent(Approval)
        return _model(desk.approve(account, _id(id_), approval))

    @app.post("/authorizations/<id_>/refuse")
    def refuse(id_: str) -> Response:
        account, refusal = sent(Refusal)
        return _model(desk.refuse(account, _id(id_), refusal))


def _run_routes(
    app: Flask, service: AssetService, caller: Caller, sent: Callable[..., Any]
) -> None:
    desk = service.runs

    @app.post("/jobs")
    def start() -> Response:
        return _model(desk.start(*sent(JobAsk)))

    @app.get("/jobs")
    def jobs() -> Response:
        return _model(JobRuns(jobs=desk.list(caller())))

    @app.get("/jobs/<run>")
    def job(run: str) -> Response:
        return _model(desk.get(caller(), _id(run)))

    @app.post("/jobs/<run>/stop")
    def stop(run: str) -> Response:
        account, _ = sent(Model)
        return _model(desk.stop(account, _id(run)))


def _file_routes(app: Flask, service: AssetService, caller: Caller) -> None:
    desk = service.runs

    @app.get("/jobs/<run>/events")
    def events(run: str) -> Response:
        account = caller()
        part = desk.part(account, _id(run), _asset())
        path = desk.executor.folder(part.run) / EVENTS
        since, whole = web.number("since", _MAX_SINCE), desk.owns(account, part)
        return _model(files.events(path, since, whole=whole))

    @app.get("/jobs/<run>/logs")
    def logs(run: str) -> Response:
        account = caller()
        part = desk.part(account, _id(run), _asset())
        if not desk.owns(account, part):
            raise ServiceError(
                ServiceCode.NOT_ENTITLED,
                "Only the asset's owner reads its log: an operation may have written rows there.",
            )
        content = files.log_tail(desk.executor.folder(part.run) / LOG)
        return Response(content, content_type="text/plain; charset=utf-8")

    @app.get("/jobs/<run>/results")
    def results(run: str) -> Response:
        account = caller()
        return _model(Results(results=files.results(_results(desk, account, run))))

    @app.get("/jobs/<run>/results/<name>")
    def result(run: str, name: str) -> Response:
        file = files.result(_results(desk, caller(), run), name)
        return send_file(file, mimetype="application/octet-stream", max_age=0, etag=False)


def _results(desk: RunDesk, account: Address, run: str) -> Any:
    part = desk.part(account, _id(run), _asset())
    if account not in part.readers:
        raise ServiceError(
            ServiceCode.NOT_ENTITLED, "The account is not one that the job names as a receiver."
        )
    if part.status.state is not RunState.FINISHED:
        raise ServiceError(
            ServiceCode.RUN_NOT_FINISHED, f"The run is {part.status.state.value}; it has no result."
        )
    return desk.executor.folder(part.run) / RESULTS


def _public_routes(app: Flask, service: AssetService, metrics: Metrics) -> None:
    @app.get("/")
    def card() -> Response:
        found = service.card
        if request.accept_mimetypes.best_match(["application/json", "text/html"]) == "text/html":
            shown = Response(page(found), content_type="text/html; charset=utf-8")
            shown.headers["Content-Security-Policy"] = CONTENT_POLICY
            return shown
        return _model(found)

    @app.get("/healthz")
    def healthz() -> Response:
        loops = {"grants": service.authorizations.loop.well, "runs": service.runs.loop.well}
        well = all(loops.values())
        found = {"status": "ok" if well else "degraded", "service": service.account, **loops}
        return web.json_answer(json.dumps(found).encode(), 200 if well else 503)

    @app.get("/metrics")
    def metrics_text() -> Response:
        ends = gauge("datatoken_assets_run_ends", ("state", "reason"), service.book.ends())
        return Response(metrics.text(service.book.totals(), [ends]), content_type=CONTENT_TYPE)


def _model(found: Model) -> Response:
    return web.json_answer(found.model_dump_json(exclude_none=True).encode())


def _id(text: str) -> str:
    if len(text) != 32 or not set(text) <= _HEX:
        raise ServiceError(ServiceCode.MALFORMED, "An id is 32 hex digits.")
    return text


def _asset() -> Hex32 | None:
    found = request.args.get("asset")
    return web.hex_id(found) if found is not None else None


def _translated(error: Exception) -> DataTokenError:
    return error if isinstance(error, Refused) else web.problem_of(error)


def _answered(error: DataTokenError) -> tuple[int, dict[str, Any]]:
    if isinstance(error, Refused):
        status = 503 if error.reason in _OUT_OF_REACH else 403
        if error.public != error.message:  # whoever asks reads less than the owner
            log.warning("refused", reason=error.code, sentence=error.message)
        body = {"code": error.code, "message": error.public, "hint": error.hint}
        return status, {**body, "refused": True}
    return web.answer_of(error)
