"""Canonical JSON (JCS, RFC 8785) and the strict way back.

A document is stored as its JCS bytes, so that equal documents have equal digests. Reading
checks that the bytes are canonical: two byte strings must never mean the same document.
"""

import json
from typing import Any, TypeVar

import rfc8785
from pydantic import ValidationError

from datatoken import strict_json
from datatoken.errors import BadInputError
from datatoken.types import Model

M = TypeVar("M", bound=Model)


def canonical_bytes(document: Model | Any) -> bytes:
    """Return the JCS bytes of `document`; fields that are None are left out.

    Raises
    ------
    BadInputError
        When a number is outside what I-JSON can carry (integers beyond 2**53, NaN).
    """
    plain = (
        document.model_dump(mode="json", exclude_none=True)
        if isinstance(document, Model)
        else document
    )
    try:
        return rfc8785.dumps(plain)
    except ValueError as error:  # CanonicalizationError, lone surrogates, ints too long to show
        raise BadInputError(f"The document has no canonical JSON: {error}.") from None


def parse_json(content: bytes, what: str, limit: int) -> Any:
    """Parse JSON bytes of bounded size and nesting, refusing duplicate keys and constants.

    Parameters
    ----------
    content : bytes
    what : str
        The document's name in an error, for example ``"DDO"``.
    limit : int
        Most bytes accepted.

    Raises
    ------
    BadInputError
    """
    if len(content) > limit:
        raise BadInputError(f"The {what} has {len(content)} bytes; {limit} are allowed.")
    try:
        return strict_json.loads(content, pairs=_no_duplicates, constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"The {what} is not JSON: {error}.") from None


def parse_document(model: type[M], content: bytes, what: str, limit: int) -> M:
    """Parse `content` as `model`, refusing bytes that are not canonical.

    Raises
    ------
    BadInputError
        One sentence that names the first wrong field.
    """
    plain = parse_json(content, what, limit)
    document = validate(model, plain, what)
    if canonical_bytes(document) != content:
        raise BadInputError(f"The {what} is not in canonical form (RFC 8785).")
    return document


def validate(model: type[M], plain: Any, what: str) -> M:
    """Check a parsed document against `model`; raise `BadInputError` with one sentence."""
    try:
        return model.model_validate_json(json.dumps(plain))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "document"
        more = f" (and {error.error_count() - 1} more)" if error.error_count() > 1 else ""
        raise BadInputError(f"The {what} is not valid: {where}: {first['msg']}{more}.") from None
    except (ValueError, RecursionError) as error:
        raise BadInputError(f"The {what} is not valid: {error}.") from None


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise ValueError("an object has the same key twice")
    return dict(pairs)


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
