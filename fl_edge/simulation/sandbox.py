"""A throw-away world to simulate in: a local chain on which everybody has granted.

For trying an app out before anybody is asked: the chain, its contracts, one algorithm over one
composite of as many data DTs as there are clients, their grants, a posted and announced job.
Everything is real but the people: one account owns all data DTs.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from datatoken.chain.anvil import Anvil
from datatoken.chain.deployment import Deployment
from datatoken.chain.profiles import load_profile
from datatoken.chain.rpc import Rpc
from datatoken.chain.signer import Signer
from datatoken.chain.stand_in import start_network
from datatoken.ddo import (
    SELF,
    ExtraParams,
    Metadata,
    RecorderRef,
    Service,
    Terms,
    Workflow,
)
from datatoken.ddo.models import MAX_CHILDREN
from datatoken.ddo.proof import ddo_bytes, make_ddo
from datatoken.errors import BadInputError
from datatoken.roles.administrator import Administrator, complete_document
from datatoken.roles.institution import Institution
from datatoken.roles.owner import AssetOwner
from datatoken.roles.providers import AlgorithmProvider, DataProvider
from datatoken.roles.site import Site
from datatoken.types import Hex32, Scalar, sha256_hex
from fl_edge.fab import build_fab, effective_config

MINTS_AT_ONCE, GRANTS_AT_ONCE = 25, 200
PURPOSE = "simulation"
Part = tuple[bytes, dict[str, Any]]
"""A bundle and the fields of its document."""


@dataclass
class Sandbox:
    """A chain of its own with one posted job; `close` stops it and nothing is left but a folder.

    Attributes
    ----------
    owners : AssetOwner
        The account that owns all data DTs (`leaves`).
    """

    folder: Path
    anvil: Anvil
    deployment: Deployment
    sites: list[Site]
    roles: dict[str, Signer]
    leaves: list[Hex32]
    composite: Hex32 = ""
    algorithm: Hex32 = ""
    job: Hex32 = ""

    @classmethod
    def build(
        cls,
        folder: Path,
        parts: Sequence[Part],
        members: int,
        overrides: Mapping[str, Scalar],
        *,
        terms: Callable[[int], Terms] = lambda _: Terms(),
        minimum: int | None = None,
        tell: Callable[[str], None] = lambda _: None,
    ) -> Self:
        """Build the world: chain, operations, DTs, grants, job, request, announcement.

        Parameters
        ----------
        parts : sequence of Part
            An app, or a client-side and a server-side operation.
        members : int
            Data DTs below the composite.
        overrides : mapping
            The run configuration that is asked for.
        terms : callable
            Returns the terms of member `i`.
        minimum : int, optional
            Of the members that have to take part; by default half of them.

        Raises
        ------
        BadInputError, LocalEnvironmentError
        """
        if not 1 <= members <= MAX_CHILDREN:
            raise BadInputError(f"A composite has 1 to {MAX_CHILDREN} members, not {members}.")
        profile = load_profile("anvil")
        anvil = start_network(profile)
        try:
            roles = {name: Signer.random() for name in ("admin", "a", "b", "owners", "recorder")}
            for signer in roles.values():
                anvil.fund(signer.address)
            with Rpc(anvil.url) as rpc:
                deployment = Administrator.deploy(
                    roles["admin"], rpc, profile, folder / "admin" / "journal.sqlite"
                )
            made = cls(folder, anvil, deployment, [], roles, [])
            try:
                made._fill(parts, members, overrides, terms, minimum or -(-members // 2), tell)
            except BaseException:
                made.close()
                raise
        except BaseException:
            anvil.stop()
            raise
        return made

    def site(self, name: str) -> Site:
        """Return a site of one party, with a connection of its own."""
        found = Site.open(self.deployment, self.folder / "store", self.folder / name)
        self.sites.append(found)
        return found

    def owner(self) -> AssetOwner:
        """Return the owner of all data DTs."""
        return AssetOwner(self.site("owners"), self.roles["owners"])

    def provider(self) -> DataProvider:
        """Return institution A, the owner of the composite."""
        return DataProvider(self.site("a"), self.roles["a"])

    def guarantor(self) -> Institution:
        """Return institution B, which has posted the job."""
        return Institution(self.site("b"), self.roles["b"])

    def _fill(
        self,
        parts: Sequence[Part],
        members: int,
        overrides: Mapping[str, Scalar],
        terms: Callable[[int], Terms],
        minimum: int,
        tell: Callable[[str], None],
    ) -> None:
        tell("Registering institutions and operations …")
        operations = self._register(parts)
        tell(f"Minting {members} data DTs …")
        self._mint(members, operations[0], terms)
        provider = self.provider()
        self.composite = provider.publish(self._composite(operations, minimum)).dt
        tell("Granting …")
        with self.owner() as owner:
            tokens = owner.site.contracts.tokens
            for start in range(0, members, GRANTS_AT_ONCE):
                some = self.leaves[start : start + GRANTS_AT_ONCE]
                owner.send(tokens.grant_many(some, self.composite))
        tell("Posting and announcing the job …")
        self._post(provider, parts, overrides)

    def _register(self, parts: Sequence[Part]) -> list[Hex32]:
        with Administrator(self.site("admin"), self.roles["admin"]) as admin:
            for name in ("a", "b"):
                admin.add_institution(self.roles[name].address, f"Institution {name.upper()}")
            found = [
                admin.register_operation(bundle, complete_document(bundle, admin.address, fields))
                for bundle, fields in parts
            ]
        with Institution(self.site("a"), self.roles["a"]) as a:
            a.enrol_users([self.roles["owners"].address])
        return found

    def _mint(self, members: int, operation: Hex32, terms: Callable[[int], Terms]) -> None:
        """Mint all members' DTs, a few transactions under way at a time."""
        site, signer = self.site("owners"), self.roles["owners"]
        network = site.network
        with site.sender(signer) as sender:
            for start in range(0, members, MINTS_AT_ONCE):
                sent = []
                for index in range(start, min(start + MINTS_AT_ONCE, members)):
                    metadata = _member(index, operation, terms(index))
                    ddo = make_ddo(
                        metadata, network.chain_id, network.tokens, signer.address, index
                    )
                    digest = site.store.put(ddo_bytes(ddo))
                    mint = site.contracts.tokens.mint(ddo.kind, ddo.proof, digest, (), index)
                    sent.append(sender.submit(mint))
                    self.leaves.append(ddo.dt)
                for one in sent:
                    sender.wait(one)

    def _composite(self, operations: Sequence[Hex32], minimum: int) -> Metadata:
        stage = {str(index): operations[0] for index in range(len(self.leaves))}
        extra = ExtraParams(
            name="Simulated owners",
            provider="A",
            price="0",
            purpose=PURPOSE,
            terms=Terms(min_participants=minimum),
            recorder=RecorderRef(
                account=self.roles["recorder"].address, endpoint="http://127.0.0.1:1"
            ),
        )
        service = Service(
            type="data",
            endpoint="flower:superlink",
            child_dts=self.leaves,
            supported_ops=[operations[0]],
            workflows=[Workflow(set_ops=[{**stage, SELF: operations[-1]}])],
            extra_params=extra,
        )
        return Metadata(services=[service])

    def _post(
        self, provider: DataProvider, parts: Sequence[Part], overrides: Mapping[str, Scalar]
    ) -> None:
        maker = AlgorithmProvider(self.site("b"), self.roles["b"])
        service = Service(
            type="algorithm",
            endpoint="flower:superlink",
            child_dts=[self.composite],
            workflows=[Workflow(set_ops=[{"0": SELF}])],
            extra_params=ExtraParams(name="Simulated", provider="B", price="0", purpose=PURPOSE),
        )
        self.algorithm = maker.publish(Metadata(services=[service])).dt
        provider.grant(self.composite, self.algorithm)
        with self.guarantor() as guarantor:
            self.job = guarantor.post_job(guarantor.create_task("Simulation"), self.algorithm)
        fab = build_fab(parts[0][0], parts[1][0] if len(parts) > 1 else None)
        parameters = effective_config(fab, overrides)
        request = maker.sign_request(self.job, sha256_hex(fab), parameters, audience=self.composite)
        provider.announce(self.job, request, artefact=sha256_hex(fab), parameters=parameters)
        maker.close()
        provider.close()

    def close(self) -> None:
        """Close connections and stop the chain."""
        for site in self.sites:
            site.close()
        self.anvil.stop()

    def __enter__(self) -> Self:
        """Return itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()


def _member(index: int, operation: Hex32, terms: Terms) -> Metadata:
    service = Service(
        type="data",
        endpoint="flower:supernode",
        supported_ops=[operation],
        extra_params=ExtraParams(
            name=f"Simulated owner {index}", provider="simulated", price="0", terms=terms
        ),
    )
    return Metadata(services=[service])
