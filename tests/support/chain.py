"""A real chain for tests: anvil, deployed contracts, funded accounts."""

import itertools
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from datatoken.authorization.view import Network
from datatoken.chain.anvil import Anvil
from datatoken.chain.contracts import Contracts
from datatoken.chain.deployment import Deployment, deploy
from datatoken.chain.events import JobPosted, OperationRegistered, TaskCreated, TokenMinted
from datatoken.chain.intents import Receipt, Transaction
from datatoken.chain.profiles import NetworkProfile, load_profile
from datatoken.chain.reader import ChainReader
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.stand_in import start_network
from datatoken.chain.transactions import Sender
from datatoken.types import ZERO32, Address, AssetKind, Hex32, OperationKind

USERS = 6
_salts = itertools.count(1)


def fresh() -> Hex32:
    """Return a digest that nobody used before."""
    return "0x" + os.urandom(32).hex()


@dataclass
class Account:
    """A funded account with its sender."""

    signer: Signer
    sender: Sender

    @property
    def address(self) -> Address:
        return self.signer.address

    def send(self, intent: Transaction, key: str | None = None) -> Receipt:
        return self.sender.send(intent, key)


@dataclass
class Chain:
    """Anvil with the six contracts; institutions A and B; users enrolled by A.

    Every test makes DTs of its own: nothing on the chain is reset between tests.
    """

    anvil: Anvil
    rpc: Rpc
    profile: NetworkProfile
    deployment: Deployment
    contracts: Contracts
    folder: Path
    admin: Account
    a: Account
    b: Account
    users: list[Account] = field(default_factory=list)

    @classmethod
    def start(cls, folder: Path, anvil: Anvil, profile: NetworkProfile) -> Self:
        """Deploy and fill a chain."""
        rpc = Rpc(anvil.url)
        admin = Signer.random()
        anvil.fund(admin.address)
        deployment = deploy(admin, rpc, profile, journal=folder / "journal.sqlite")
        contracts = Contracts.at(rpc, deployment)

        def account(signer: Signer | None = None) -> Account:
            return _account(anvil, rpc, profile, folder, signer)

        chain = cls(
            anvil,
            rpc,
            profile,
            deployment,
            contracts,
            folder,
            account(admin),
            account(),
            account(),
            [account() for _ in range(USERS)],
        )
        deployment.save(chain.deployment_path)
        registry = contracts.institutions
        chain.admin.send(registry.add_institution(chain.a.address, "Institution A"))
        chain.admin.send(registry.add_institution(chain.b.address, "Institution B"))
        chain.a.send(registry.enrol_users([user.address for user in chain.users]))
        return chain

    @property
    def deployment_path(self) -> Path:
        """The deployment file."""
        return self.folder / "deployment.json"

    @property
    def network(self) -> Network:
        """Chain id and contracts, as a decision knows them."""
        return self.deployment.network()

    @property
    def url(self) -> str:
        """Endpoint of the chain."""
        return self.anvil.url

    def reader(self) -> ChainReader:
        """Return a reader with a connection (and call counter) of its own."""
        return ChainReader(Rpc(self.anvil.url), self.deployment)

    def account(self, *, enrol: bool = False) -> Account:
        """Return a new funded account, on request a user enrolled by institution A."""
        made = _account(self.anvil, self.rpc, self.profile, self.folder, None)
        if enrol:
            self.a.send(self.contracts.institutions.enrol_user(made.address))
        return made

    def mint(
        self,
        owner: Account,
        kind: AssetKind = AssetKind.DATA,
        children: Sequence[Hex32] = (),
        proof: Hex32 | None = None,
        ddo: Hex32 | None = None,
    ) -> Hex32:
        """Mint a DT (with random digests, where none are given) and return it."""
        digests = (proof or fresh(), ddo or fresh())
        intent = self.contracts.tokens.mint(kind, *digests, children, next(_salts))
        return owner.send(intent).event(TokenMinted).dt

    def grant(
        self, owner: Account, child: Hex32, parent: Hex32, expiry: int = 0, rounds: int = 0
    ) -> Receipt:
        """Grant an own DT to a parent."""
        return owner.send(self.contracts.tokens.grant(child, parent, expiry, rounds))

    def task(self, owner: Account) -> int:
        """Create a task and return its number."""
        return owner.send(self.contracts.market.create_task(fresh())).event(TaskCreated).id

    def post(
        self,
        guarantor: Account,
        algorithm: Hex32,
        below: Sequence[Hex32],
        recorder: Address | None = None,
    ) -> Hex32:
        """Create a task, post a job under it and return the job."""
        recorder = recorder or guarantor.address
        intent = self.contracts.market.post_job(self.task(guarantor), algorithm, recorder, below)
        return guarantor.send(intent).event(JobPosted).job

    def register(
        self,
        kind: OperationKind = OperationKind.CLIENT,
        bundle: Hex32 | None = None,
        metadata: Hex32 | None = None,
    ) -> Hex32:
        """Register an operation as the administrator and return its id."""
        digests = (bundle or fresh(), metadata or fresh())
        intent = self.contracts.operations.register(*digests, kind, "operation", "app:main")
        return self.admin.send(intent).event(OperationRegistered).id

    def simple_job(self) -> tuple[Hex32, Hex32, Hex32]:
        """Return (job, algorithm, data): user 0's data, granted to institution B's algorithm."""
        data = self.mint(self.users[0])
        algorithm = self.mint(self.b, AssetKind.ALGORITHM, [data])
        self.grant(self.users[0], data, algorithm)
        return self.post(self.b, algorithm, [data]), algorithm, data

    def time(self) -> int:
        """Return the time of the newest block in seconds."""
        return self.reader().check(ZERO32).time

    def close(self) -> None:
        """Close senders and stop the chain."""
        for account in (self.admin, self.a, self.b, *self.users):
            account.sender.close()
        self.rpc.close()
        self.anvil.stop()


def _account(
    anvil: Anvil, rpc: Rpc, profile: NetworkProfile, folder: Path, signer: Signer | None
) -> Account:
    signer = signer or Signer.random()
    anvil.fund(signer.address)
    return Account(signer, Sender(rpc, signer, profile, folder / "journal.sqlite"))


def start_chain(folder: Path, *, state: Path | None = None, profile: str = "anvil") -> Chain:
    """Start anvil in `folder` and deploy; the caller closes it.

    With the profile `platon-stand-in` the node has PlatON's rules.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = load_profile(profile)
    return Chain.start(folder, start_network(chosen, state=state), chosen)


def wait_until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait until a condition holds; fail after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"nothing happened within {seconds} s")
        time.sleep(0.02)
