"""The world before the first round: chain, contracts, people, documents, grants, job.

Every step is a call that a person in that role makes; each is a line of the acceptance list
(67 to 77), named in the comments.
"""

from dataclasses import dataclass, field
from pathlib import Path

from datatoken.chain.errors import ContractError
from datatoken.ddo import Metadata, RecorderRef
from datatoken.errors import RunFailedError
from datatoken.roles.administrator import Administrator, complete_document
from datatoken.roles.institution import Institution
from datatoken.roles.providers import AlgorithmProvider, DataProvider
from datatoken.roles.user import EndUser
from datatoken.types import Hex32
from examples.mvp2_wearables import assets
from examples.mvp2_wearables.data import People, User
from examples.support.accounts import Account, create_account
from examples.support.ground import DEFAULT_NETWORK, ROOT, Ground, Tell, lay_ground
from fl_edge.fab import bundle_folder, read_source
from fl_edge.fab.document import source_fields


@dataclass
class Person:
    """A user: the account, the rows on the device, the DT, and the node key it delegates."""

    user: User
    account: Account
    node: Account
    role: EndUser
    data: Path
    dt: Hex32 = ""

    @property
    def name(self) -> str:
        """The user's name."""
        return self.user.name


@dataclass(kw_only=True)
class World(Ground):
    """Everything that the demo has set up."""

    persons: list[Person]
    minimum: int
    operations: dict[str, Hex32] = field(default_factory=dict)
    composite: Hex32 = ""
    algorithm: Hex32 = ""
    task: int = 0
    job: Hex32 = ""

    def owner_of_composite(self) -> DataProvider:
        """Return A as the owner of the composite."""
        return DataProvider(self.site(self.accounts["A"]), self.accounts["A"].signer)

    def owner_of_algorithm(self) -> AlgorithmProvider:
        """Return B as the algorithm's owner."""
        return AlgorithmProvider(self.site(self.accounts["B"]), self.accounts["B"].signer)


def start_world(
    folder: Path,
    people: People,
    tell: Tell,
    *,
    network: str = DEFAULT_NETWORK,
    store: str | None = None,
) -> World:
    """Start a chain and deploy; create the accounts of everybody."""
    ground = lay_ground(folder, ("A", "B"), tell, network=network, store=store)  # 1
    world = World(**vars(ground), persons=[], minimum=max(1, len(people.users) - 1))
    try:
        world.persons = [_person(world, folder / "accounts", user) for user in people.users]
    except BaseException:
        world.close()
        raise
    return world


def _person(world: World, keys: Path, user: User) -> Person:
    account, node = create_account(keys, user.name), create_account(keys, f"{user.name}-node")
    role = EndUser(world.site(account), account.signer)
    return Person(user, account, node, role, user.save(account.folder / "rows.npz"))


def register(world: World, client: str, tell: Tell) -> None:
    """Register the institutions and the two operations; enrol the users."""
    admin, a = world.administrator(), world.institution("A")
    tell("The administrator registers the institutions A and B.")  # 67
    for name in ("A", "B"):
        admin.add_institution(world.accounts[name].address, name)
    for folder in (ROOT / "clients" / client, ROOT / "strategies" / "fedaverage"):
        name = read_source(folder).name
        tell(f"The administrator registers {name}: digest on the chain, bundle in the store.")  # 67
        world.operations[folder.name] = _register_operation(admin, folder)
    outsider = world.persons[0]
    try:  # 69
        outsider.role.sign_mint(_user_document(world, outsider, client))
        raise RunFailedError("A user who is not enrolled could publish.")
    except ContractError as error:
        tell(f"{outsider.name} is not enrolled yet and can't publish: {error.code}.")
    tell(f"A, not the administrator, enrols its {len(world.persons)} users.")  # 68
    a.enrol_users([person.account.address for person in world.persons])
    admin.close()
    a.close()


def _register_operation(admin: Administrator, folder: Path) -> Hex32:
    bundle = bundle_folder(folder)
    document = complete_document(bundle, admin.address, source_fields(read_source(folder)))
    return admin.register_operation(bundle, document)


def _user_document(world: World, person: Person, client: str) -> Metadata:
    return assets.user_data(
        person.name,
        person.user.label,
        len(person.user.y),
        [world.operations[client]],
        world.accounts["B"].address,
        world.minimum,
    )


def publish(world: World, people: People, client: str, endpoint: str, tell: Tell) -> None:
    """Publish the documents from the users up to the algorithm."""
    relay, owner, maker = (
        world.institution("A"),
        world.owner_of_composite(),
        world.owner_of_algorithm(),
    )
    tell("Each user signs the minting of an own DT; A pays for the transaction.")  # 70
    for person in world.persons:
        signed = person.role.sign_mint(_user_document(world, person, client))
        relay.relay(signed)
        person.dt = signed.ddo.dt
    tell("A publishes a DT composed of them: EdgeComp at each user, FedAverage at A.")  # 71
    world.composite = owner.publish(
        assets.composite(
            [person.dt for person in world.persons],
            world.operations[client],
            world.operations["fedaverage"],
            RecorderRef(account=world.accounts["recorder"].address, endpoint=endpoint),
            people.layers,
            world.minimum,
        )
    ).dt
    tell("B publishes an algorithm over A's DT, with A's own workflow: {0: self}.")  # 72
    world.algorithm = maker.publish(assets.algorithm(world.composite)).dt
    for role in (relay, owner, maker):
        role.close()


def grant_and_post(world: World, tell: Tell) -> None:
    """Have everybody review and grant; then B posts the job."""
    relay, owner, maker = (
        world.institution("A"),
        world.owner_of_composite(),
        world.institution("B"),
    )
    world.task = maker.create_task("Heart model", "A model that warns of heart disease.")  # 75
    try:  # 48
        maker.post_job(world.task, world.algorithm)
        raise RunFailedError("A job was posted without grants.")
    except ContractError as error:
        tell(f"B can't post the job before everybody has granted: {error.code}.")
    tell("Each user verifies A's DT against the own terms, then signs a grant.")  # 73
    for person in world.persons:
        grant_by(world, person, relay)
    tell("A verifies the algorithm DT and grants it.")  # 74
    owner.grant(world.composite, world.algorithm)
    world.job = maker.post_job(world.task, world.algorithm)  # 75
    tell(f"B posts the job {world.job[:10]}… and so vouches for it.")
    for role in (relay, owner, maker):
        role.close()


def grant_by(world: World, person: Person, relay: Institution) -> None:
    """Have one user sign a grant to A's composite, relayed by A; again after a revocation."""
    relay.relay(person.role.sign_grant(person.dt, world.composite))


def revoke_by(world: World, person: Person, relay: Institution) -> None:
    """Have one user sign a revocation, relayed by A."""
    relay.relay(person.role.sign_revocation(person.dt, world.composite))
