"""The compute request: what the algorithm's owner asks for, signed (EIP-712).

It is bound to chain, market, job, the exact artefact, the parameters and an audience, with
a nonce and a deadline. Its digest is what the composite's owner announces on chain.
"""

from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from datatoken.ddo.canonical import canonical_bytes, parse_document
from datatoken.signatures import DOMAIN_FIELDS, recover_typed
from datatoken.types import Address, Hex32, Model, Scalar, Seconds, sha256_hex

MAX_REQUEST_BYTES = 4096

Signature = Annotated[str, StringConstraints(pattern=r"^0x[0-9a-f]{130}$")]

REQUEST_TYPES: dict[str, list[dict[str, str]]] = {
    "ComputeRequest": [
        {"name": "job", "type": "bytes32"},
        {"name": "operation", "type": "bytes32"},
        {"name": "parameters", "type": "bytes32"},
        {"name": "audience", "type": "bytes32"},
        {"name": "nonce", "type": "uint64"},
        {"name": "deadline", "type": "uint64"},
    ]
}


class ComputeRequest(Model):
    """What the algorithm's owner signs.

    Attributes
    ----------
    operation : Hex32
        sha256 of the exact artefact that will run: the FAB, or `mpc_artefact` of the bundles.
    parameters : Hex32
        `parameters_digest` of the effective run configuration.
    audience : Hex32
        A DT: the addressed composite, or the algorithm itself for every participant.
    nonce : int
        Below 2**53, so that JSON carries it.
    """

    chain_id: int = Field(ge=1)
    market: Address
    job: Hex32
    operation: Hex32
    parameters: Hex32
    audience: Hex32
    nonce: int = Field(ge=0, lt=2**53)
    deadline: Seconds

    def typed_data(self) -> dict[str, Any]:
        """Return the EIP-712 message, for `eth_account.messages.encode_typed_data`."""
        return {
            "types": {
                "EIP712Domain": DOMAIN_FIELDS,
                **REQUEST_TYPES,
            },
            "primaryType": "ComputeRequest",
            "domain": {
                "name": "DataToken",
                "version": "1",
                "chainId": self.chain_id,
                "verifyingContract": self.market,
            },
            "message": {
                "job": self.job,
                "operation": self.operation,
                "parameters": self.parameters,
                "audience": self.audience,
                "nonce": self.nonce,
                "deadline": self.deadline,
            },
        }


class SignedRequest(Model):
    """A compute request with the signature of the algorithm's owner."""

    request: ComputeRequest
    signature: Signature

    def digest(self) -> Hex32:
        """Return the sha256 of the stored bytes: what is announced, and where it is stored."""
        return sha256_hex(canonical_bytes(self))

    def nonce_key(self) -> Hex32:
        """Return what starts one run only: the nonce within chain, market and job.

        The signature is left out: an ECDSA signature has a second valid form.
        """
        request = self.request
        body = [request.chain_id, request.market, request.job, request.nonce]
        return sha256_hex(canonical_bytes(body))

    def signer(self) -> Address | None:
        """Return the account that signed, or None when the signature is none at all."""
        return recover_typed(self.request.typed_data(), self.signature)


def parse_request(content: bytes) -> SignedRequest:
    """Parse the stored bytes of a signed request; raise `BadInputError`."""
    return parse_document(SignedRequest, content, "compute request", MAX_REQUEST_BYTES)


def parameters_digest(parameters: Mapping[str, Scalar]) -> Hex32:
    """Return sha256(JCS(parameters)) of the effective run configuration."""
    return sha256_hex(canonical_bytes(dict(parameters)))


def run_id(request: Hex32) -> str:
    """Return the id of the one MPC run that a request starts: the first half of its digest."""
    return request[2:34]


def mpc_artefact(bundles: Iterable[Hex32]) -> Hex32:
    """Return what a compute request names as `operation` for an MPC job.

    Parameters
    ----------
    bundles : iterable of Hex32
        Bundle digests of all MPC operations that the job's workflows name, in any order: which
        party runs which of them is fixed by the algorithm DT.
    """
    return sha256_hex(canonical_bytes({"mpc": sorted(set(bundles))}))
