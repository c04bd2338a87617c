"""The world of the credit model: banks A and B, the fintech C, a third compute provider D.

Every step is a call that a person in that role makes; nothing is run here yet.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.ddo import Metadata, RecorderRef
from datatoken.ports import free_port
from datatoken.roles.administrator import Administrator, complete_document
from datatoken.roles.owner import AssetOwner
from datatoken.roles.providers import AlgorithmProvider, ComputeProvider, DataProvider
from datatoken.roles.regulator import Regulator
from datatoken.rounds.documents import RoundDocument
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.client import RecorderClient
from datatoken.types import Hex32, Scalar
from examples.support.accounts import create_account
from examples.support.credit import Credit
from examples.support.ground import ROOT, Ground, Tell, lay_ground
from examples.support.mpc import assets
from examples.support.mpc.hosts import (
    KEEP_WORK,
    Host,
    Mode,
    end_parties,
    engine_settings,
    start_host,
    wait_for_hosts,
    write_settings,
)
from examples.support.processes import Processes
from examples.support.recorder import endpoint_of, start_recorder
from rtt_tracer.bundle import bundle_folder
from rtt_tracer.document import read_source, source_fields
from rtt_tracer.party.engines import engine_of

BANKS = ("A", "B")
FINTECH = "C"
THIRD = "D"
NAMES = {"A": "Bank A", "B": "Bank B", "C": "Fintech C", "D": "Compute provider D"}
OPERATIONS = ROOT / "rtt_tracer" / "operations"


@dataclass(kw_only=True)
class CreditWorld(Ground):
    """Everything that has been set up.

    Attributes
    ----------
    operations : dict of str to Hex32
        Folder's name → id of the registered operation.
    hosts : dict of str to Host
        ``A-private``, ``A-compute`` and so on: one asset service each.
    dts : dict of str to Hex32
        ``A-data``, ``A-compute`` and so on.
    most_epochs : int
        What the owners' terms allow.
    """

    credit: Credit
    processes: Processes
    recorder_port: int
    operations: dict[str, Hex32] = field(default_factory=dict)
    hosts: dict[str, Host] = field(default_factory=dict)
    dts: dict[str, Hex32] = field(default_factory=dict)
    most_epochs: int = assets.MAX_EPOCHS

    @property
    def recorder(self) -> RecorderRef:
        """The recorder that algorithms name."""
        return RecorderRef(
            account=self.accounts["recorder"].address, endpoint=endpoint_of(self.recorder_port)
        )

    def close(self) -> None:
        """End the parties that still run, close connections, stop the chain."""
        end_parties(self.hosts.values())
        super().close()

    def fintech(self) -> AlgorithmProvider:
        """Return C as the owner of algorithms."""
        return AlgorithmProvider(self.site(self.accounts[FINTECH]), self.accounts[FINTECH].signer)

    def owner(self, name: str, kind: type[AssetOwner] = AssetOwner) -> AssetOwner:
        """Return an institution as the owner of its assets."""
        return kind(self.site(self.accounts[name]), self.accounts[name].signer)

    def regulator(self) -> Regulator:
        """Return a regulator: chain and documents are enough for that role."""
        return Regulator(self.site(self.accounts["regulator"]))

    def round_documents(self, job: Hex32) -> list[RoundDocument]:
        """Return the recorder's documents of a job, read with the regulator's key."""
        endpoint, signer = self.recorder.endpoint, self.accounts["regulator"].signer
        client = RecorderClient(endpoint, signer, recorder=self.recorder.account)
        try:
            return client.documents(job)
        finally:
            client.close()

    def name_of(self, dt: Hex32) -> str:
        """Return what this demo calls a DT."""
        return next((name for name, own in self.dts.items() if own == dt), f"{dt[:10]}…")

    @contextmanager
    def client(self, host: str, caller: str = FINTECH) -> Iterator[AssetServiceClient]:
        """Give a client of a service, which signs with `caller`'s key."""
        asked = self.hosts[host]
        signer = self.accounts[caller].signer
        client = AssetServiceClient(asked.endpoint, signer, certificates=asked.certificate)
        try:
            yield client
        finally:
            client.close()

    def host_of(self, asset: str) -> Host:
        """Return the service that an asset is at."""
        return next(host for host in self.hosts.values() if self.dts[asset] in host.assets)


def start_world(
    folder: Path,
    credit: Credit,
    processes: Processes,
    institutions: Sequence[str],
    tell: Tell,
    store: str | None = None,
) -> CreditWorld:
    """Start a chain, deploy, and register the institutions."""
    ground = lay_ground(folder, [*institutions, "regulator"], tell, store=store)
    world = CreditWorld(
        **vars(ground), credit=credit, processes=processes, recorder_port=free_port()
    )
    try:
        admin = world.administrator()
        for name in institutions:
            admin.add_institution(world.accounts[name].address, NAMES[name])
        admin.close()
    except BaseException:
        world.close()
        raise
    return world


def register_operation(world: CreditWorld, folder: Path) -> Hex32:
    """Have the administrator register the operation of a folder; return its id."""
    admin: Administrator = world.administrator()
    bundle, source = bundle_folder(folder), read_source(folder)
    fields = source_fields(source, engine_of(source.role, engine_settings()).installed())
    world.operations[folder.name] = admin.register_operation(
        bundle, complete_document(bundle, admin.address, fields)
    )
    admin.close()
    return world.operations[folder.name]


def add_host(world: CreditWorld, owner: str, domain: str, mode: Mode = "auto") -> Host:
    """Make the account and the address of an asset service, not yet the service."""
    name = f"{owner}-{'private' if domain == 'private' else 'compute'}"
    node = create_account(world.folder / "accounts", f"{name}-node")
    world.accounts[node.name] = node
    world.hosts[name] = Host(
        name=name,
        owner=world.accounts[owner],
        node=node,
        domain="private" if domain == "private" else "federated",
        port=free_port(),
        folder=world.folder / "services" / name,
        mode=mode,
    )
    return world.hosts[name]


def publish_data(world: CreditWorld, owner: str, operations: Iterable[str]) -> Hex32:
    """Have a bank describe the table in its private domain and mint its DT."""
    host = world.hosts[f"{owner}-private"]
    table = world.credit.save(owner, host.folder / "rows.csv")
    document = assets.data(
        f"Customers of {NAMES[owner]}",
        NAMES[owner],
        host.endpoint,
        [world.operations[name] for name in operations],
        assets.terms(world.accounts[FINTECH].address, world.most_epochs),
        world.credit.schema(owner),
    )
    return _publish(world, f"{owner}-data", DataProvider, host, document, table)


def publish_compute(world: CreditWorld, owner: str, operations: Iterable[str]) -> Hex32:
    """Have a provider describe its compute service and mint its DT."""
    host = world.hosts[f"{owner}-compute"]
    document = assets.compute(
        f"Compute of {NAMES[owner]}",
        NAMES[owner],
        host.endpoint,
        [world.operations[name] for name in operations],
        assets.terms(world.accounts[FINTECH].address, world.most_epochs),
    )
    return _publish(world, f"{owner}-compute", ComputeProvider, host, document, None)


def _publish(
    world: CreditWorld,
    name: str,
    kind: type[AssetOwner],
    host: Host,
    document: Metadata,
    table: Path | None,
) -> Hex32:
    with world.owner(name.partition("-")[0], kind) as role:
        dt = role.publish(document).dt
    host.assets[dt] = table
    world.dts[name] = dt
    return dt


def publish_algorithm(
    world: CreditWorld,
    name: str,
    stages: Sequence[Mapping[str, str]],
    *,
    purpose: str = assets.PURPOSE,
    parameters: Mapping[str, Mapping[str, Scalar]] | None = None,
) -> Hex32:
    """Have C compose an algorithm.

    Parameters
    ----------
    stages : sequence of mapping
        Asset → operation, by the names of this world; the children are in this order.
    parameters : mapping, optional
        Operation → what the workflow fixes.
    """
    children = [asset for stage in stages for asset in stage]
    document = assets.algorithm(
        name,
        [world.dts[asset] for asset in children],
        [
            {str(children.index(asset)): world.operations[op] for asset, op in stage.items()}
            for stage in stages
        ],
        world.recorder,
        purpose=purpose,
        parameters={world.operations[op]: values for op, values in (parameters or {}).items()},
    )
    with world.fintech() as role:
        world.dts[name] = role.publish(document).dt
    return world.dts[name]


def start_services(world: CreditWorld) -> None:
    """Start the recorder and all asset services, and wait until they answer."""
    auditors = [world.accounts["regulator"].address]
    start_recorder(world.processes, world, world.recorder_port, auditors)
    for host in world.hosts.values():
        with world.owner(host.owner.name) as role:
            start_host(world.processes, host, write_settings(world, host, role), KEEP_WORK)
    wait_for_hosts(list(world.hosts.values()))
