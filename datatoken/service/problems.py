"""Why a service says no: stable codes with their HTTP status, as one JSON object.

``{"code": "REQUEST_REPLAYED", "message": "…", "hint": "…"}``.
"""

from enum import StrEnum
from typing import Any

from datatoken.errors import DataTokenError, ExitCode


class ServiceCode(StrEnum):
    """Codes of a refused call."""

    MALFORMED = "MALFORMED"
    TOO_LARGE = "TOO_LARGE"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    REQUEST_UNSIGNED = "REQUEST_UNSIGNED"
    REQUEST_SIGNATURE = "REQUEST_SIGNATURE"
    REQUEST_STALE = "REQUEST_STALE"
    REQUEST_REPLAYED = "REQUEST_REPLAYED"
    NOT_ENTITLED = "NOT_ENTITLED"
    JOB_UNKNOWN = "JOB_UNKNOWN"
    OTHER_RECORDER = "OTHER_RECORDER"
    RECEIPT_INVALID = "RECEIPT_INVALID"
    RECEIPT_UNKNOWN = "RECEIPT_UNKNOWN"
    DELEGATION_EXPIRED = "DELEGATION_EXPIRED"
    TOO_MANY = "TOO_MANY"
    UPSTREAM = "UPSTREAM"
    INTERNAL = "INTERNAL"


STATUS: dict[ServiceCode, int] = {
    ServiceCode.MALFORMED: 400,
    ServiceCode.REQUEST_UNSIGNED: 401,
    ServiceCode.REQUEST_SIGNATURE: 401,
    ServiceCode.REQUEST_STALE: 401,
    ServiceCode.REQUEST_REPLAYED: 401,
    ServiceCode.NOT_ENTITLED: 403,
    ServiceCode.RECEIPT_INVALID: 403,
    ServiceCode.DELEGATION_EXPIRED: 403,
    ServiceCode.NOT_FOUND: 404,
    ServiceCode.JOB_UNKNOWN: 404,
    ServiceCode.OTHER_RECORDER: 404,
    ServiceCode.RECEIPT_UNKNOWN: 404,
    ServiceCode.METHOD_NOT_ALLOWED: 405,
    ServiceCode.TOO_LARGE: 413,
    ServiceCode.TOO_MANY: 429,
    ServiceCode.INTERNAL: 500,
    ServiceCode.UPSTREAM: 503,
}

HINTS: dict[ServiceCode, str] = {
    ServiceCode.REQUEST_UNSIGNED: "Sign the request: see datatoken.service.signing.",
    ServiceCode.REQUEST_STALE: "Check that both machines' clocks are right.",
    ServiceCode.REQUEST_REPLAYED: "Take a new nonce for every request.",
    ServiceCode.NOT_ENTITLED: "Sign as a participant of the job, or ask to be an auditor.",
    ServiceCode.JOB_UNKNOWN: "Post the job first, and give the chain time to confirm it.",
    ServiceCode.OTHER_RECORDER: "Send it to the recorder that the job was posted with.",
    ServiceCode.RECEIPT_INVALID: "Sign with a node key that the DT's owner delegated.",
    ServiceCode.DELEGATION_EXPIRED: "The DT's owner has to delegate the node key anew.",
    ServiceCode.TOO_MANY: "Send it again when earlier ones are logged.",
    ServiceCode.UPSTREAM: "Send it again later: chain or store did not answer.",
}


class ServiceError(DataTokenError):
    """A call that is refused.

    Parameters
    ----------
    service_code : ServiceCode
    message : str
        One sentence; never a secret, never what another participant sent.
    """

    exit_code = ExitCode.REFUSED

    def __init__(self, service_code: ServiceCode, message: str) -> None:
        super().__init__(message, HINTS.get(service_code, ""))
        self.service_code = service_code
        self.code = service_code.value

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return STATUS[self.service_code]

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        return {"code": self.code, "message": self.message, "hint": self.hint}
