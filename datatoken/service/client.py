"""The recorder's client: receipts, documents, proofs. Needs no extra: httpx alone.

`LogFollower` (datatoken.service.follower) keeps what it brings, verified.
"""

from collections.abc import Collection, Mapping
from typing import Any, TypeVar

from datatoken.authorization.reasons import Reason, Refused
from datatoken.ddo.canonical import canonical_bytes, parse_json, validate
from datatoken.errors import BadInputError, DataTokenError
from datatoken.rounds.documents import InclusionProof, RoundDocument
from datatoken.rounds.receipts import Acknowledgement, Delegation, SignedReceipt
from datatoken.service.follower import LogFollower
from datatoken.service.http import DEFAULT_TIMEOUT, ServiceHttp, json_bytes
from datatoken.service.signing import MessageSigner, sign_request
from datatoken.types import Address, Hex32, MessageKind, Model

__all__ = ["DELEGATION", "LogFollower", "RecorderClient"]

DELEGATION = "DataToken-Delegation"
MAX_HEALTH = 64 * 1024
M = TypeVar("M", bound=Model)


class RecorderClient:
    """Calls one recorder.

    Parameters
    ----------
    endpoint : str
        The address that the composite's (else the algorithm's) DDO names.
    signer : MessageSigner
        Signs the requests: a node's key, or an owner's.
    recorder : Address
        The recorder's account, as the DDO and the job name it.
    delegation : Delegation, optional
        The DT owner's word for a node's key; a participant that has not reported yet shows
        it to read the documents.
    timeout : float
        Seconds for one call.
    """

    def __init__(
        self,
        endpoint: str,
        signer: MessageSigner,
        *,
        recorder: Address,
        delegation: Delegation | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None:
        self.recorder = recorder
        self._http = ServiceHttp(endpoint, timeout)
        self._signer = signer
        self._delegation = delegation

    def trouble(self) -> str | None:
        """Ask the recorder whether it is there; return why not, None when it is."""
        try:
            with self._http.stream("GET", "/healthz", limit=MAX_HEALTH) as (_, parts):
                plain = parse_json(b"".join(parts), "answer", MAX_HEALTH)
        except DataTokenError as error:
            return error.message
        if not isinstance(plain, dict) or plain.get("recorder") != self.recorder:
            return f"There is another recorder at {self._http.endpoint}, or none."
        return None

    def post_receipt(self, signed: SignedReceipt) -> Acknowledgement:
        """Send a receipt and return the recorder's signed word that it will be logged.

        Safe to repeat: an equal receipt gets an equal answer.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE when there is no valid answer.
        ServiceError
            When the recorder refuses the receipt.
        """
        plain = self._http.call("POST", "/receipts", canonical_bytes(signed))
        found = self._parsed(Acknowledgement, plain)
        expected = (signed.receipt.digest(), signed.receipt.job, self.recorder)
        if (found.receipt, found.job, found.recorder) != expected or not found.is_signed():
            raise _no_answer("the acknowledgement is not the named recorder's")
        return found

    def documents(
        self, job: Hex32, since: int = 0, until: int | None = None
    ) -> list[RoundDocument]:
        """Return the round documents after number `since`, unverified.

        Parameters
        ----------
        until : int, optional
            Stop at this number; by default at the newest.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE.
        ServiceError
            When the recorder does not serve this account.
        """
        found: list[RoundDocument] = []
        while until is None or since < until:
            plain = self._call("GET", f"/jobs/{job}/documents?since={since}")
            page = plain.get("documents") if isinstance(plain, dict) else None
            if not isinstance(page, list):
                raise _no_answer("its answer holds no documents")
            documents = [self._parsed(RoundDocument, document) for document in page]
            if not documents or documents[-1].number <= since:
                break
            found += documents
            since = documents[-1].number
        return found

    def proof(self, job: Hex32, receipt: Hex32) -> InclusionProof:
        """Return a receipt's inclusion proof; its path is checked, the head is up to the caller.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE, or LOG_INVALID when the proof does not hold.
        ServiceError
            RECEIPT_UNKNOWN when no document holds it yet.
        """
        plain = self._call("GET", f"/jobs/{job}/proofs/{receipt}")
        proof = self._parsed(InclusionProof, plain)
        if (proof.receipt, proof.header.job) != (receipt, job) or not proof.holds():
            raise Refused(
                Reason.LOG_INVALID, f"The proof of receipt {receipt[:10]}… does not hold."
            )
        return proof

    def introduce(self, job: Hex32, introduction: bytes) -> None:
        """Leave a signed introduction for the other parties of a run (MPC). Safe to repeat.

        Needs a `delegation`: the DT that it is for is the one that introduces itself.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE.
        ServiceError
            INTRODUCED_ALREADY when the DT has left another one for this request.
        """
        self._call("POST", f"/jobs/{job}/introductions", introduction)

    def introductions(self, job: Hex32, request: Hex32) -> list[bytes]:
        """Return what parties have left for a request, as canonical JSON, unverified.

        Raises
        ------
        Refused
            RECORDER_UNREACHABLE.
        ServiceError
            When the recorder does not serve this account.
        """
        plain = self._call("GET", f"/jobs/{job}/introductions?request={request}")
        found = plain.get("introductions") if isinstance(plain, dict) else None
        if not isinstance(found, list):
            raise _no_answer("its answer holds no introductions")
        try:
            return [canonical_bytes(one) for one in found]
        except BadInputError as error:
            raise _no_answer(error.message.rstrip(".")) from None

    def name_round(
        self,
        job: Hex32,
        *,
        run: str,
        kind: MessageKind,
        input_digest: Hex32,
        expected: int | None = None,
        members: Collection[Hex32] = (),
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Tell the recorder who is expected in a round, and what the server claims of it.

        Signed by the owner of the composite or algorithm, or with a `delegation` for it. Safe
        to repeat; the last words count.

        Raises
        ------
        Refused, ServiceError
        """
        body: dict[str, Any] = {
            "run": run,
            "kind": kind.value,
            "input": input_digest,
            "members": list(members),
            "annotations": dict(annotations or {}),
        }
        if expected is not None:
            body["expected"] = expected
        self._call("POST", f"/jobs/{job}/rounds", json_bytes(body))

    def _call(self, method: str, path: str, body: bytes = b"") -> Any:
        headers = sign_request(self._signer, self.recorder, method, path, body)
        if self._delegation is not None:
            headers[DELEGATION] = canonical_bytes(self._delegation).decode()
        return self._http.call(method, path, body, headers)

    @staticmethod
    def _parsed(model: type[M], plain: Any) -> M:
        try:
            return validate(model, plain, "recorder's answer")
        except BadInputError as error:
            raise _no_answer(error.message.rstrip(".")) from None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()


def _no_answer(why: str) -> Refused:
    return Refused(Reason.RECORDER_UNREACHABLE, f"The recorder gave no valid answer: {why}.")
