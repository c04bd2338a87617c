"""An asset service's OpenAPI document, with schemas from the models themselves."""

from typing import Any

from pydantic.json_schema import models_json_schema

from datatoken import __version__
from datatoken.authorization.reasons import Reason
from datatoken.service import signing
from datatoken.service.assets.models import (
    Approval,
    Authorization,
    AuthorizationAsk,
    Authorizations,
    Card,
    Events,
    JobAsk,
    JobRun,
    JobRuns,
    Refusal,
    Results,
)
from datatoken.service.openapi import header, operation, problem

_REF = "#/components/schemas/"
_MODELS = (
    Approval, Authorization, AuthorizationAsk, Authorizations, Card, Events, JobAsk, JobRun,
    JobRuns, Refusal, Results,
)  # fmt: skip


def openapi() -> dict[str, Any]:
    """Return the document (OpenAPI 3.1)."""
    models = [(model, "validation") for model in _MODELS]
    _, schemas = models_json_schema(models, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DataToken asset service",
            "version": __version__,
            "summary": "Takes requests to use an owner's assets, and runs what the gates allow.",
            "description": signing.__doc__,
        },
        "paths": {**_authorizations(), **_jobs(), **_public()},
        "components": {
            "schemas": {**schemas["$defs"], "Problem": _problem()},
            "parameters": {name: header(name) for name in signing.SIGNED_HEADERS},
        },
    }


def _call(summary: str, answer: str, body: str = "", *parameters: dict[str, Any]) -> dict[str, Any]:
    return operation(
        summary,
        answer=_REF + answer,
        body=_REF + body if body else None,
        parameters=list(parameters),
        delegated=False,
    )


def _authorizations() -> dict[str, Any]:
    one = _path("id")
    return {
        "/authorizations": {
            "post": _call(
                "Ask for a grant; signed by the parent's owner. Granted, queued or refused with "
                "every reason, by the owner's policy. Safe to repeat.",
                "Authorization",
                "AuthorizationAsk",
            ),
            "get": _call("Own requests, and those for own assets.", "Authorizations"),
        },
        "/authorizations/{id}": {"get": _call("One request.", "Authorization", "", one)},
        "/authorizations/{id}/approve": {
            "post": _call("The owner grants it.", "Authorization", "Approval", one)
        },
        "/authorizations/{id}/refuse": {
            "post": _call("The owner refuses it.", "Authorization", "Refusal", one)
        },
    }


def _jobs() -> dict[str, Any]:
    one, asset = _path("run"), _query("asset", "string")
    return {
        "/jobs": {
            "post": _call(
                "Start this service's part of a job; signed by the algorithm's owner. Every "
                "asset's gate is asked first. One request starts one run.",
                "JobRun",
                "JobAsk",
            ),
            "get": _call("Own runs, and those of own assets.", "JobRuns"),
        },
        "/jobs/{run}": {"get": _call("How a run stands.", "JobRun", "", one)},
        "/jobs/{run}/stop": {"post": _call("Stop it. Safe to repeat.", "JobRun", "", one)},
        "/jobs/{run}/events": {
            "get": _call(
                "What has happened since a cursor.",
                "Events",
                "",
                one,
                asset,
                _query("since", "integer"),
            )
        },
        "/jobs/{run}/logs": {"get": _file("The log's end, for the asset's owner.", one, asset)},
        "/jobs/{run}/results": {
            "get": _call("Files for the job's receivers.", "Results", "", one, asset)
        },
        "/jobs/{run}/results/{name}": {
            "get": _file("One file.", one, _path("name", r"^[A-Za-z0-9][A-Za-z0-9._-]*$"), asset)
        },
    }


def _public() -> dict[str, Any]:
    def plain(summary: str, *codes: str) -> dict[str, Any]:
        return {"get": {"summary": summary, "responses": {c: {"description": ""} for c in codes}}}

    card = operation("The service's card.", answer=_REF + "Card", signed=False)
    return {
        "/": {"get": card},
        "/healthz": plain("Whether grants and runs are looked after.", "200", "503"),
        "/metrics": plain("Prometheus metrics.", "200"),
    }


def _file(summary: str, *parameters: dict[str, Any]) -> dict[str, Any]:
    found = _call(summary, "Problem", "", *parameters)
    found["responses"]["200"] = {
        "description": "The bytes.",
        "content": {"application/octet-stream": {}},
    }
    return found


def _path(name: str, pattern: str = "^[0-9a-f]{32}$") -> dict[str, Any]:
    schema = {"type": "string", "pattern": pattern}
    return {"name": name, "in": "path", "required": True, "schema": schema}


def _query(name: str, kind: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": False, "schema": {"type": kind}}


def _problem() -> dict[str, Any]:
    found = problem()
    codes = dict.fromkeys([*found["properties"]["code"]["enum"], *Reason])
    found["properties"] |= {
        "code": {"enum": [str(code) for code in codes]},
        "refused": {"type": "boolean", "description": "The code is a gate's reason."},
        "violations": {"type": "array", "items": {"type": "string"}},
    }
    return found
