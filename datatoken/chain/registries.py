"""Typed contracts: who takes part, and which operations are trusted."""

from collections.abc import Sequence

from datatoken.authorization.view import OperationRecord
from datatoken.chain.abi import to_hex, word32
from datatoken.chain.contract import Administered
from datatoken.chain.intents import Transaction
from datatoken.types import Address, Hex32, OperationKind


class InstitutionRegistry(Administered):
    """Institutions and the users that they enrol."""

    artifact_name = "InstitutionRegistry"

    def add_institution(self, account: Address, name: str) -> Transaction:
        """Add an institution (administrator)."""
        return self._write("addInstitution", account, name)

    def remove_institution(self, account: Address) -> Transaction:
        """Remove an institution, and with it the standing of its users (administrator)."""
        return self._write("removeInstitution", account)

    def enrol_user(self, user: Address) -> Transaction:
        """Enrol a user (institution)."""
        return self._write("enrolUser", user)

    def enrol_users(self, users: Sequence[Address]) -> Transaction:
        """Enrol several users (institution)."""
        return self._write("enrolUsers", list(users))

    def remove_user(self, user: Address) -> Transaction:
        """Remove a user (the institution that enrolled it)."""
        return self._write("removeUser", user)

    def remove_users(self, users: Sequence[Address]) -> Transaction:
        """Remove several users (the institution that enrolled them)."""
        return self._write("removeUsers", list(users))

    def institution(self, account: Address) -> tuple[str, bool]:
        """Return the name of an institution and whether it is active."""
        name, active = self._read("institution", account)
        return str(name), bool(active)

    def is_institution(self, account: Address) -> bool:
        """Tell whether an account is an active institution."""
        return bool(self._read("isInstitution", account))

    def enroller(self, user: Address) -> Address:
        """Return the institution that enrolled a user, or the zero address."""
        return str(self._read("enroller", user))

    def is_participant(self, account: Address) -> bool:
        """Tell whether an account may mint: an active institution or a user of one."""
        return bool(self._read("isParticipant", account))


class OperationRegistry(Administered):
    """Trusted operations, immutable once registered."""

    artifact_name = "OperationRegistry"

    def register(
        self,
        bundle: Hex32,
        metadata: Hex32,
        kind: OperationKind,
        name: str,
        entry_point: str,
    ) -> Transaction:
        """Register an operation by the digests of its bundle and its document (administrator)."""
        return self._write(
            "register", word32(bundle), word32(metadata), int(kind), name, entry_point
        )

    def retire(self, operation: Hex32) -> Transaction:
        """Retire an operation for good (administrator)."""
        return self._write("retire", word32(operation))

    def operation(self, operation: Hex32) -> OperationRecord:
        """Return an operation's record; `exists` is false when there is none."""
        bundle, metadata, publisher, kind, retired, _ = self._read("operation", word32(operation))
        return OperationRecord(
            bundle=to_hex(bundle),
            metadata=to_hex(metadata),
            publisher=publisher,
            kind=kind,
            retired=retired,
        )
