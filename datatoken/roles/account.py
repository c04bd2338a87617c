"""Base of the roles: an account at a site. One account can hold several roles."""

from types import TracebackType
from typing import Self

from datatoken.chain.intents import Receipt, Transaction
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender
from datatoken.roles.site import Site
from datatoken.types import Address


class Account:
    """An account that signs and sends.

    Parameters
    ----------
    site : Site
        Chain, store and state folder.
    signer : Signer
        The account's key.
    """

    def __init__(self, site: Site, signer: Signer) -> None:
        self.site = site
        self.signer = signer
        self._sender: Sender | None = None

    @property
    def address(self) -> Address:
        """The account."""
        return self.signer.address

    def send(self, intent: Transaction, key: str | None = None) -> Receipt:
        """Send a transaction and wait for it; see `datatoken.chain.transactions.Sender`."""
        if self._sender is None:
            self._sender = self.site.sender(self.signer)
        return self._sender.send(intent, key)

    def close(self) -> None:
        """Close the transaction journal."""
        if self._sender is not None:
            self._sender.close()
            self._sender = None

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the transaction journal."""
        self.close()
