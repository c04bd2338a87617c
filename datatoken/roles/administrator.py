"""The administrator: deploys, registers institutions and operations, and nothing else."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from eth_abi.abi import encode
from eth_utils.crypto import keccak

from datatoken.authorization.view import Network
from datatoken.chain.deployment import Deployment, deploy
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes, validate
from datatoken.ddo.operation import OPERATION_KINDS, OperationDocument
from datatoken.errors import BadInputError
from datatoken.roles.account import Account
from datatoken.roles.errors import contract_refusal
from datatoken.store import cid_of
from datatoken.types import Address, Hex32, sha256_hex

DERIVED = ("bundle", "cid", "size", "publisher")
"""Fields of an operation document that follow from the bundle and the administrator."""


class Administrator(Account):
    """The owner of the registries of institutions and operations."""

    @staticmethod
    def deploy(signer: Signer, rpc: Rpc, profile: NetworkProfile, journal: Path) -> Deployment:
        """Deploy the contracts; repeating with the same journal deploys nothing twice."""
        return deploy(signer, rpc, profile, journal=journal)

    def add_institution(self, account: Address, name: str) -> bool:
        """Register an institution; return false when it is registered under this name already.

        Raises
        ------
        ContractError
            When the account has another name, or the sender is not the administrator.
        """
        registry = self.site.contracts.institutions
        present, active = registry.institution(account)
        if active and present == name:
            return False
        self.send(registry.add_institution(account, name))
        return True

    def remove_institution(self, account: Address) -> bool:
        """Remove an institution, and with it the standing of its users; repeating is safe."""
        registry = self.site.contracts.institutions
        name, active = registry.institution(account)
        if name and not active:
            return False
        self.send(registry.remove_institution(account))
        return True

    def register_operation(self, bundle: bytes, document: OperationDocument) -> Hex32:
        """Store an operation's bundle and document, register their digests, return its id.

        Repeating is safe: an operation with the same bytes is returned as it is.

        Raises
        ------
        BadInputError
            When the document does not describe exactly this bundle and this publisher.
        ContractError
            When the account is not the administrator; nothing was stored.
        """
        _check_document(bundle, document, self.address)
        id_ = operation_id(self.site.network, document)
        registry = self.site.contracts.operations
        registered = registry.operation(id_).exists
        if not registered and registry.administrator() != self.address:
            raise contract_refusal("OwnableUnauthorizedAccount", account=self.address)
        self.site.store.put(bundle)
        metadata = self.site.store.put(canonical_bytes(document))
        if not registered:
            kind = OPERATION_KINDS[document.kind]
            points = ",".join(f"{k}={v}" for k, v in sorted(document.entry_points.items()))
            self.send(registry.register(document.bundle, metadata, kind, document.name, points))
        return id_

    def retire_operation(self, operation: Hex32) -> bool:
        """Retire an operation for good; return false when it was retired already."""
        record = self.site.contracts.operations.operation(operation)
        if record.exists and record.retired:
            return False
        self.send(self.site.contracts.operations.retire(operation))
        return True


def complete_document(
    bundle: bytes, publisher: Address, fields: Mapping[str, Any]
) -> OperationDocument:
    """Return the document of a bundle from the fields that a person writes.

    `bundle`, `cid`, `size` and `publisher` follow from the bytes and the administrator's
    account; where `fields` hold them already, they must be the same.

    Raises
    ------
    BadInputError
        One sentence that names the first wrong field.
    """
    digest = sha256_hex(bundle)
    derived = {
        "bundle": digest,
        "cid": cid_of(digest),
        "size": len(bundle),
        "publisher": publisher,
    }
    for name in DERIVED:
        if name in fields and fields[name] != derived[name]:
            raise BadInputError(
                f"The operation document is not valid: {name}: it is not that of the bundle.",
                f"Leave out {', '.join(DERIVED)}: they are filled in.",
            )
    return validate(OperationDocument, {**fields, **derived}, "operation document")


def operation_id(network: Network, document: OperationDocument) -> Hex32:
    """Return the id that `OperationRegistry.register` gives to an operation."""
    packed = encode(
        ["uint256", "address", "bytes32", "bytes32"],
        [
            network.chain_id,
            network.operations,
            bytes.fromhex(document.bundle[2:]),
            bytes.fromhex(document.digest()[2:]),
        ],
    )
    return "0x" + keccak(packed).hex()


def _check_document(bundle: bytes, document: OperationDocument, publisher: Address) -> None:
    digest = sha256_hex(bundle)
    described = (document.bundle, document.cid, document.size)
    if described != (digest, cid_of(digest), len(bundle)):
        raise BadInputError(
            "The operation document names another bundle than the one given.",
            "Build the document from the bundle's exact bytes.",
        )
    if document.publisher != publisher:
        raise BadInputError(
            f"The operation document names publisher {document.publisher}, not {publisher}."
        )
