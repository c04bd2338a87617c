"""The run configuration that a compute request names, fetched from the store."""

from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.ddo.canonical import parse_json
from datatoken.store import VerifyingStore
from datatoken.types import Scalar

MAX_PARAMETERS_BYTES = 64 * 1024


def read_parameters(store: VerifyingStore, signed: SignedRequest) -> dict[str, Scalar]:
    """Fetch the effective run configuration: the request names the digest of its JCS bytes.

    Raises
    ------
    Refused, StoreError, BadInputError
    """
    content = store.get(signed.request.parameters, MAX_PARAMETERS_BYTES)
    plain = parse_json(content, "run configuration", MAX_PARAMETERS_BYTES)
    if not isinstance(plain, dict) or not all(
        isinstance(value, (bool, int, float, str)) for value in plain.values()
    ):
        raise Refused(Reason.REQUEST_MISMATCH, "The request's parameters are no run configuration.")
    return plain
