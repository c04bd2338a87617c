"""The recorder's OpenAPI document, with schemas from the models themselves."""

from typing import Any

from pydantic.json_schema import models_json_schema

from datatoken import __version__
from datatoken.rounds.documents import InclusionProof, NamedRound, RoundDocument
from datatoken.rounds.receipts import Acknowledgement, Delegation, SignedReceipt
from datatoken.service import signing
from datatoken.service.client import DELEGATION
from datatoken.service.problems import STATUS

_REF = "#/components/schemas/"
_ID = {"type": "string", "pattern": "^0x[0-9a-f]{64}$"}
_MODELS = (SignedReceipt, Acknowledgement, RoundDocument, InclusionProof, NamedRound, Delegation)


def openapi() -> dict[str, Any]:
    """Return the document (OpenAPI 3.1)."""
    models = [(model, "validation") for model in _MODELS]
    _, schemas = models_json_schema(models, ref_template=_REF + "{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "DataToken recorder",
            "version": __version__,
            "summary": "Takes receipts, logs each round on the chain, serves documents and proofs.",
            "description": signing.__doc__,
        },
        "paths": _paths(),
        "components": {
            "schemas": {**schemas["$defs"], "Problem": problem(), "Naming": _naming()},
            "parameters": {name: header(name) for name in (*signing.SIGNED_HEADERS, DELEGATION)},
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/receipts": {
            "post": operation(
                "Send a receipt; it is on disk when the answer comes. Safe to repeat.",
                answer=_REF + "Acknowledgement",
                body=_REF + "SignedReceipt",
                signed=False,
            )
        },
        "/jobs/{job}/documents": {
            "get": operation(
                "Round documents after number `since`, in pages; an empty page is the end.",
                answer={
                    "type": "object",
                    "required": ["documents"],
                    "properties": {
                        "documents": {"type": "array", "items": {"$ref": _REF + "RoundDocument"}}
                    },
                },
                parameters=[
                    _path("job"),
                    {"name": "since", "in": "query", "schema": {"type": "integer", "minimum": 0}},
                ],
            )
        },
        "/jobs/{job}/proofs/{receipt}": {
            "get": operation(
                "Inclusion proof of a receipt.",
                answer=_REF + "InclusionProof",
                parameters=[_path("job"), _path("receipt")],
            )
        },
        "/jobs/{job}/rounds": {
            "post": operation(
                "Say who is expected in a round, and what the server claims of it. It closes a "
                "round early and never admits or removes a receipt.",
                answer={"type": "object"},
                body=_REF + "Naming",
                parameters=[_path("job")],
            )
        },
        "/jobs/{job}/introductions": {
            "post": operation(
                "Leave a signed introduction for the other parties of an MPC run; the first one of "
                "a DT for a request stays. Safe to repeat.",
                answer={"type": "object"},
                body={"type": "object"},
                parameters=[_path("job")],
            ),
            "get": operation(
                "What the parties have left for a request.",
                answer={
                    "type": "object",
                    "required": ["introductions"],
                    "properties": {"introductions": {"type": "array", "items": {"type": "object"}}},
                },
                parameters=[_path("job"), _query("request")],
            ),
        },
        "/healthz": {
            "get": {
                "summary": "Whether rounds are being logged.",
                "responses": {"200": {"description": "They are."}, "503": {"description": "No."}},
            }
        },
        "/metrics": {
            "get": {
                "summary": "Prometheus metrics.",
                "responses": {"200": {"description": "Text."}},
            }
        },
    }


def operation(
    summary: str,
    *,
    answer: str | dict[str, Any],
    body: str | dict[str, Any] | None = None,
    parameters: list[dict[str, Any]] | None = None,
    signed: bool = True,
    delegated: bool = True,
) -> dict[str, Any]:
    """Return one operation: what it takes and answers, as schemas or references to them.

    Parameters
    ----------
    signed, delegated : bool
        Whether the headers of signed requests, and a delegation, are among its parameters.
    """
    names = (*signing.SIGNED_HEADERS, *([DELEGATION] if delegated else []))
    headers = [{"$ref": f"#/components/parameters/{name}"} for name in names]
    found: dict[str, Any] = {
        "summary": summary,
        "parameters": [*(parameters or []), *(headers if signed else [])],
        "responses": {
            "200": {"description": "Done.", "content": _json(answer)},
            "default": {"description": "Refused.", "content": _json(_REF + "Problem")},
        },
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": _json(body)}
    return found


def _json(schema: str | dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": schema} if isinstance(schema, str) else schema}}


def _path(name: str) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": _ID}


def _query(name: str) -> dict[str, Any]:
    return {"name": name, "in": "query", "required": True, "schema": _ID}


def header(name: str) -> dict[str, Any]:
    """Return the description of a header of signed requests."""
    described = {
        signing.ACCOUNT: "The account that signs.",
        signing.TIMESTAMP: f"Unix seconds, within {signing.MAX_SKEW} of the service's clock.",
        signing.NONCE: "32 hex digits, never used before.",
        signing.SIGNATURE: "EIP-191 signature, hex with 0x.",
        DELEGATION: "A delegation document as JSON, where a node's key speaks for a DT.",
    }
    return {
        "name": name,
        "in": "header",
        "required": name != DELEGATION,
        "description": described[name],
        "schema": {"type": "string"},
    }


def problem() -> dict[str, Any]:
    """Return the schema of a refusal."""
    return {
        "type": "object",
        "required": ["code", "message", "hint"],
        "properties": {
            "code": {"enum": [code.value for code in STATUS]},
            "message": {"type": "string"},
            "hint": {"type": "string"},
        },
    }


def _naming() -> dict[str, Any]:
    schema = NamedRound.model_json_schema(ref_template=_REF + "{model}")
    schema.pop("$defs", None)
    schema["properties"].pop("by")
    schema["required"] = [name for name in schema["required"] if name != "by"]
    schema["description"] = "What a server says of a round; the signer is taken from the headers."
    return dict(schema)
