"""Why a service says no: stable codes with their HTTP status, as one JSON object.

``{"code": "REQUEST_REPLAYED", "message": "…", "hint": "…"}``.
"""

from collections.abc import Sequence
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
    INTRODUCED_ALREADY = "INTRODUCED_ALREADY"
    ASSET_UNKNOWN = "ASSET_UNKNOWN"
    ASSET_BUSY = "ASSET_BUSY"
    POLICY = "POLICY"
    AGREEMENT = "AGREEMENT"
    AUTHORIZATION_UNKNOWN = "AUTHORIZATION_UNKNOWN"
    AUTHORIZATION_DECIDED = "AUTHORIZATION_DECIDED"
    NOT_GRANTED = "NOT_GRANTED"
    RUN_UNKNOWN = "RUN_UNKNOWN"
    RUN_NOT_FINISHED = "RUN_NOT_FINISHED"
    RESULT_UNKNOWN = "RESULT_UNKNOWN"
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
    ServiceCode.POLICY: 403,
    ServiceCode.AGREEMENT: 403,
    ServiceCode.NOT_FOUND: 404,
    ServiceCode.JOB_UNKNOWN: 404,
    ServiceCode.OTHER_RECORDER: 404,
    ServiceCode.RECEIPT_UNKNOWN: 404,
    ServiceCode.ASSET_UNKNOWN: 404,
    ServiceCode.AUTHORIZATION_UNKNOWN: 404,
    ServiceCode.RUN_UNKNOWN: 404,
    ServiceCode.RESULT_UNKNOWN: 404,
    ServiceCode.METHOD_NOT_ALLOWED: 405,
    ServiceCode.INTRODUCED_ALREADY: 409,
    ServiceCode.ASSET_BUSY: 409,
    ServiceCode.AUTHORIZATION_DECIDED: 409,
    ServiceCode.NOT_GRANTED: 409,
    ServiceCode.RUN_NOT_FINISHED: 409,
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
    ServiceCode.ASSET_UNKNOWN: "Ask the service that the DT's DDO names as its endpoint.",
    ServiceCode.ASSET_BUSY: "Send it again when the asset's run has ended.",
    ServiceCode.POLICY: "Ask the asset's owner in person.",
    ServiceCode.AGREEMENT: "Compose a DT within the terms; nothing was granted.",
    ServiceCode.AUTHORIZATION_DECIDED: "Ask again with a new request.",
    ServiceCode.NOT_GRANTED: "Grant it with the owner's own key: datatoken grant.",
    ServiceCode.RUN_NOT_FINISHED: "Ask again when all parties have finished.",
    ServiceCode.RESULT_UNKNOWN: "See the list of results.",
    ServiceCode.INTRODUCED_ALREADY: "Each request starts one run: sign a new compute request.",
    ServiceCode.TOO_MANY: "Send it again later, when earlier ones are dealt with.",
    ServiceCode.UPSTREAM: "Send it again later: chain or store did not answer.",
}


class ServiceError(DataTokenError):
    """A call that is refused.

    Parameters
    ----------
    service_code : ServiceCode
    message : str
        One sentence; never a secret, never what another participant sent.
    violations : sequence of str
        All reasons, where there are several.
    """

    exit_code = ExitCode.REFUSED

    def __init__(
        self, service_code: ServiceCode, message: str, violations: Sequence[str] = ()
    ) -> None:
        super().__init__(message, HINTS.get(service_code, ""))
        self.violations = tuple(violations)
        self.service_code = service_code
        self.code = service_code.value

    @property
    def status(self) -> int:
        """Return the HTTP status."""
        return STATUS[self.service_code]

    def body(self) -> dict[str, Any]:
        """Return the JSON body of the answer."""
        found: dict[str, Any] = {"code": self.code, "message": self.message, "hint": self.hint}
        return found | {"violations": list(self.violations)} if self.violations else found


class ServiceUnreachableError(DataTokenError):
    """A service gave no answer, or none that is one."""

    exit_code = ExitCode.RUN_FAILED
    code = "SERVICE_UNREACHABLE"
