"""A deployment: which chain, which contracts. The file that everybody configures first."""

import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

from pydantic import Field, ValidationError

from datatoken.authorization.view import Network
from datatoken.chain.abi import selector, to_address
from datatoken.chain.pinning import majority
from datatoken.chain.profiles import BUILT_IN, NetworkProfile, load_profile, profile_of_chain
from datatoken.chain.rpc import Rpc
from datatoken.errors import BadInputError, LocalEnvironmentError, WrongChainError
from datatoken.types import Address, Model

if TYPE_CHECKING:
    from datatoken.chain.signer import Signer
    from datatoken.chain.transactions import Sender

CONTRACTS = ("institutions", "operations", "tokens", "market", "log", "view")
_MAX_FILE = 64 * 1024


class Deployment(Model):
    """The deployed contracts of one network (deployment.json).

    Parameters
    ----------
    chain_id : int
        Chain that they are on.
    profile : str or NetworkProfile
        Name of a built-in profile, or path of a TOML file; empty for the one that is built
        in for this chain id. Of a chain of one's own, the rules themselves.
    rpc_urls : tuple[str, ...]
        Endpoints.
    quorum : int, optional
        How many of them have to agree on what is read, by default more than half; with 1
        they are tried in order, and each is believed.
    institutions, operations, tokens, market, log, view : Address
        The six contracts.
    block : int
        Block of the first contract: event readers start here.
    """

    chain_id: Annotated[int, Field(gt=0, lt=2**63)]
    profile: str | NetworkProfile = ""
    rpc_urls: Annotated[tuple[str, ...], Field(min_length=1, max_length=16)]
    institutions: Address
    operations: Address
    tokens: Address
    market: Address
    log: Address
    view: Address
    block: Annotated[int, Field(ge=0)] = 0
    quorum: Annotated[int, Field(ge=1, le=16)] | None = None

    def network(self) -> Network:
        """Return what a decision needs of it."""
        return Network(
            chain_id=self.chain_id,
            institutions=self.institutions,
            operations=self.operations,
            tokens=self.tokens,
            market=self.market,
            log=self.log,
            view=self.view,
        )

    def network_profile(self) -> NetworkProfile:
        """Return the network profile.

        Raises
        ------
        BadInputError
            When the profile is of another chain, or none is known of this one.
        """
        if not self.profile:
            return profile_of_chain(self.chain_id)
        given = self.profile
        profile = given if isinstance(given, NetworkProfile) else load_profile(given)
        if profile.chain_id != self.chain_id:
            raise BadInputError(
                f"The deployment is on chain {self.chain_id}, "
                f"its profile {profile.name!r} is of chain {profile.chain_id}."
            )
        return profile

    def voices(self) -> int:
        """Return how many endpoints have to agree."""
        return self.quorum or majority(len(self.rpc_urls))

    def connect(self, timeout: float = 5.0, state: Path | None = None) -> Rpc:
        """Return a connection to its endpoints; nothing is sent yet.

        Parameters
        ----------
        timeout : float
            Seconds for one read.
        state : Path, optional
            Folder that keeps the newest block seen, where endpoints have to agree.

        Raises
        ------
        BadInputError
            When more endpoints have to agree than are named.
        LocalEnvironmentError
            When the file in the state folder cannot be used.
        """
        if self.voices() == 1:
            return Rpc(self.rpc_urls, timeout)
        key = f"{self.chain_id}:{self.view}"
        profile = self.network_profile()
        return connect(self.rpc_urls, self.voices(), profile, timeout, state=state, key=key)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read a deployment file.

        Raises
        ------
        BadInputError
            When the file is missing or not a deployment.
        """
        try:
            with path.open("rb") as file:
                content = file.read(_MAX_FILE + 1)
        except OSError as error:
            raise BadInputError(
                f"The deployment file {path} cannot be read: {error.strerror}.",
                "Run `datatoken up` for a local stack, or ask the administrator for the file.",
            ) from error
        if len(content) > _MAX_FILE:
            raise BadInputError(f"The deployment file {path} is larger than {_MAX_FILE} bytes.")
        try:
            return cls.model_validate_json(content)
        except ValidationError as error:
            first = error.errors()[0]
            field = ".".join(str(part) for part in first["loc"])
            raise BadInputError(
                f"{path} is not a deployment file: {field or 'JSON'}: {first['msg']}."
            ) from error

    def save(self, path: Path) -> None:
        """Write the deployment file; a reader sees the old one or the new one.

        Raises
        ------
        LocalEnvironmentError
            When the folder is not writable.
        """
        text = json.dumps(self.model_dump(mode="json"), indent=2) + "\n"
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
            Path(name).chmod(0o644)
            Path(name).replace(path)
        except OSError as error:
            raise LocalEnvironmentError(
                f"The deployment file {path} cannot be written: {error.strerror}."
            ) from error

    def verify(self, rpc: Rpc) -> None:
        """Check that the endpoint serves this chain and that the contracts are there.

        Raises
        ------
        WrongChainError
            When it is another chain, or a chain without these contracts.
        ChainUnreachableError
            When no endpoint answers.
        """
        rpc.verify_chain(self.chain_id)
        for name in CONTRACTS:
            address = getattr(self, name)
            if rpc.request("eth_getCode", [address, "latest"]) in ("0x", None):
                raise WrongChainError(
                    f"There is no {name} contract at {address} on this chain.",
                    "Was the local chain started anew? Deploy again, or correct the file.",
                )
        for name in CONTRACTS[:-1]:
            if to_address(rpc.eth_call(self.view, selector(f"{name}()"))) != getattr(self, name):
                raise WrongChainError(
                    f"The view contract reads another {name} contract than the file names.",
                    "Ask the administrator for the right deployment file.",
                )


def connect(
    urls: tuple[str, ...],
    voices: int,
    profile: NetworkProfile,
    timeout: float = 5.0,
    *,
    state: Path | None = None,
    key: str = "",
) -> Rpc:
    """Return a connection to endpoints of which `voices` have to agree; nothing is sent yet.

    Parameters
    ----------
    state : Path, optional
        Folder that keeps the newest block seen, under `key`.

    Raises
    ------
    BadInputError
        When more endpoints have to agree than are named.
    LocalEnvironmentError
        When the file in the state folder cannot be used.
    """
    if voices == 1:
        return Rpc(urls, timeout)
    from datatoken.chain.panel import QuorumRules
    from datatoken.chain.quorum import QuorumRpc
    from datatoken.chain.seen import FILE, SeenBlocks

    rules = QuorumRules(voices, profile.chain_id, profile.clock_bound)
    path = state / FILE if state is not None else None
    return QuorumRpc(urls, rules, SeenBlocks(key, path), timeout)


def deploy(
    signer: "Signer",
    rpc: Rpc,
    profile: NetworkProfile,
    *,
    journal: Path,
) -> Deployment:
    """Deploy the six contracts as the administrator; go on where a broken run stopped.

    Parameters
    ----------
    signer : Signer
        The administrator's account.
    rpc : Rpc
        Connection to the chain.
    profile : NetworkProfile
        The chain's rules.
    journal : Path
        The account's transaction journal; repeating the command with it deploys nothing twice.

    Raises
    ------
    WrongChainError
        When the endpoint serves another chain than the profile names.
    TransactionError
        When a contract cannot be created.
    """
    from datatoken.chain.transactions import Sender

    with Sender(rpc, signer, profile, journal) as sender:
        return deploy_with(sender, profile)


def deploy_with(sender: "Sender", profile: NetworkProfile) -> Deployment:
    """Deploy the six contracts with an open sender; see `deploy`."""
    from datatoken.chain.artifacts import load_artifact

    made: dict[str, Any] = {}
    blocks: list[int] = []

    def create(name: str, contract: str, *arguments: Address) -> None:
        intent = load_artifact(contract).creation(*arguments)
        receipt = sender.send(intent, key=f"deploy:{contract}:{intent.digest}")
        if receipt.contract is None:
            raise WrongChainError(f"The chain did not say where {contract} was created.")
        made[name] = receipt.contract
        blocks.append(receipt.block_number)

    create("institutions", "InstitutionRegistry")
    create("operations", "OperationRegistry")
    create("tokens", "DataTokenRegistry", made["institutions"])
    create("market", "TaskMarket", made["institutions"], made["tokens"])
    create("log", "RoundLog")
    create("view", "AuthorizationView", *(made[n] for n in CONTRACTS[:5]))
    return Deployment(
        chain_id=profile.chain_id,
        profile=profile.name if profile == BUILT_IN.get(profile.name) else profile,
        rpc_urls=sender.rpc.urls,
        block=min(blocks),
        **made,
    )
