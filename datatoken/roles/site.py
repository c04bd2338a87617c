"""Where a role works: one deployment, one store, and a folder for its own state."""

import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from datatoken.authorization.view import Network
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment
from datatoken.chain.events import EventReader
from datatoken.chain.profiles import NetworkProfile
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.transactions import Sender
from datatoken.roles.documents import Documents
from datatoken.store import VerifyingStore, open_store
from datatoken.types import ZERO32, ZERO_ADDRESS, Address

JOURNAL = "journal.sqlite"


@dataclass(frozen=True)
class Site:
    """Chain, store and state folder that roles share.

    Parameters
    ----------
    deployment : Deployment
        The contracts that this user trusts.
    rpc : Rpc
        Connection to their chain.
    store : VerifyingStore
        Where documents and bundles are.
    folder : Path
        The user's own state: transaction journal, requests seen, code reviewed.
    """

    deployment: Deployment
    rpc: Rpc
    store: VerifyingStore
    folder: Path

    @classmethod
    def open(cls, deployment: Deployment, store: VerifyingStore | str | Path, folder: Path) -> Self:
        """Open a site; nothing is sent yet."""
        opened = store if isinstance(store, VerifyingStore) else open_store(store)
        return cls(deployment, deployment.connect(state=folder), opened, folder)

    @cached_property
    def profile(self) -> NetworkProfile:
        """Rules of the chain."""
        return self.deployment.network_profile()

    @cached_property
    def network(self) -> Network:
        """Chain id and contracts, as a decision knows them."""
        return self.deployment.network()

    @cached_property
    def contracts(self) -> Contracts:
        """The typed contracts."""
        return Contracts.at(self.rpc, self.deployment, self.profile.view_gas)

    @cached_property
    def reader(self) -> ChainReader:
        """Reads at one block."""
        return ChainReader(
            self.rpc,
            self.deployment,
            finality=self.profile.finality,
            view_gas=self.profile.view_gas,
        )

    @cached_property
    def events(self) -> EventReader:
        """Past events of the contracts."""
        return EventReader(self.rpc, self.deployment)

    @cached_property
    def documents(self) -> Documents:
        """Verified DDOs and operation documents."""
        return Documents(self.contracts, self.store, self.network)

    def sender(self, signer: Signer) -> Sender:
        """Return a sender for an account, with the journal of this folder."""
        return Sender(self.rpc, signer, self.profile, self.folder / JOURNAL)

    def now(self) -> int:
        """Return the later of chain time and own clock, in seconds: what expiry is judged by."""
        return max(self.reader.check(ZERO32).time, int(time.time()))

    def name_of(self, account: Address) -> str:
        """Return an institution's name, or whose user an account is, or an empty text."""
        name, active = self.reader.institution(account)
        if name:
            return name if active else f"{name} (removed)"
        enroller = self.contracts.institutions.enroller(account)
        if enroller == ZERO_ADDRESS:
            return ""
        name, _ = self.reader.institution(enroller)
        return f"user of {name or enroller}"

    def close(self) -> None:
        """Close the connection."""
        self.rpc.close()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the connection."""
        self.close()
