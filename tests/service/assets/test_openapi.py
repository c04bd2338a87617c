"""What the services say of themselves: OpenAPI documents, health, metrics."""

import re
import ssl
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from flask import Flask
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from datatoken.service import openapi as recorder_openapi
from datatoken.service.assets import openapi as assets_openapi
from datatoken.service.assets.models import JobRun
from datatoken.service.signing import sign_request
from tests.support.asset_service import Serving


@pytest.mark.parametrize("document", [recorder_openapi.openapi, assets_openapi.openapi])
def test_document_is_valid(document: Callable[[], dict[str, Any]]) -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(document()).iter_errors()] == []


def test_document_has_every_route_and_no_other() -> None:
    """The routes are Flask's own list of a real app."""
    from datatoken.service.assets.app import AssetService, create_app

    app: Flask = create_app(AssetService("0x" + "00" * 20, *[None] * 4))  # type: ignore[arg-type]
    routes = {
        (re.sub(r"<(?:\w+:)?(\w+?)_?>", r"{\1}", rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = assets_openapi.openapi()["paths"]
    described = {(path, method) for path, methods in paths.items() for method in methods}

    assert described == routes - {("/openapi.json", "get")}


def test_answers_fit_the_document(ended: tuple[Serving, JobRun]) -> None:
    """Acceptance: 84, 85."""
    serving, run = ended
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    signer = serving.bank.provider.signer

    with httpx.Client(base_url=serving.url, verify=trust) as client:
        document = client.get("/openapi.json").json()

        def answer(path: str, template: str = "") -> httpx.Response:
            found = client.get(path, headers=sign_request(signer, serving.account, "GET", path))
            described = document["paths"][template or path]["get"]["responses"]
            content = described.get(str(found.status_code), described["default"])["content"]
            schema = {**content["application/json"]["schema"], "components": document["components"]}
            OAS31Validator(schema).validate(found.json())
            return found

        one = f"/jobs/{run.id}"
        codes = [
            answer("/").status_code,
            answer("/jobs").status_code,
            answer(one, "/jobs/{run}").status_code,
            answer(f"{one}/events", "/jobs/{run}/events").status_code,
            answer(f"{one}/results", "/jobs/{run}/results").status_code,
            answer("/authorizations").status_code,
            answer(f"/jobs/{'0' * 32}", "/jobs/{run}").status_code,
            answer(f"{one}/logs", "/jobs/{run}/logs").status_code,
        ]

    assert codes == [200] * 6 + [404, 403]


def test_metrics_are_in_prometheus_own_format(ended: tuple[Serving, JobRun]) -> None:
    serving, _ = ended
    trust = ssl.create_default_context(cafile=str(serving.certificate))
    with httpx.Client(base_url=serving.url, verify=trust) as client:
        client.get("/jobs")
        found = client.get("/metrics")
        health = client.get("/healthz")

    assert found.headers["content-type"].startswith("text/plain; version=0.0.4")
    typed: set[str] = set()
    values: dict[str, float] = {}
    for line in found.text.splitlines():
        if line.startswith("#"):
            typed.add(line.split()[2])
            continue
        match = re.fullmatch(
            r'([a-z_]+)(\{[a-z]+="[A-Za-z_]+",[a-z]+="[A-Za-z_]+"\})? (\d+(?:\.\d+)?)', line
        )
        assert match, line
        assert match[1] in typed, line
        values[match[1] + (match[2] or "")] = float(match[3])
    assert values["datatoken_assets_runs_finished"] >= 1
    assert values['datatoken_assets_run_ends{reason="NONE",state="finished"}'] >= 1
    assert values["datatoken_assets_stages_planned"] >= values["datatoken_assets_stages_done"]
    refused = 'datatoken_assets_calls_total{endpoint="jobs",outcome="REQUEST_UNSIGNED"}'
    assert values[refused] >= 1
    assert (health.status_code, health.json()["grants"], health.json()["runs"]) == (200, True, True)
