"""Documents that a thousand simulated gates check in turn: each digest is worked out once."""

from functools import cached_property

from datatoken.authorization.request import SignedRequest
from datatoken.ddo.operation import OperationDocument
from datatoken.types import Address, Hex32


class KnownRequest(SignedRequest):
    """A compute request that remembers its digest and its signer; it can't change."""

    @classmethod
    def of(cls, request: SignedRequest) -> "KnownRequest":
        """Return the same request."""
        return cls.model_construct(**dict(request))

    @cached_property
    def _own(self) -> tuple[Hex32, Address | None]:
        return super().digest(), super().signer()

    def digest(self) -> Hex32:
        """Return `SignedRequest.digest`."""
        return self._own[0]

    def signer(self) -> Address | None:
        """Return `SignedRequest.signer`."""
        return self._own[1]


class KnownOperation(OperationDocument):
    """An operation's document that remembers its digest; it can't change."""

    @classmethod
    def of(cls, document: OperationDocument) -> "KnownOperation":
        """Return the same document."""
        return cls.model_construct(**dict(document))

    @cached_property
    def _own(self) -> Hex32:
        return super().digest()

    def digest(self) -> Hex32:
        """Return `OperationDocument.digest`."""
        return self._own
