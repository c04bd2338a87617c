"""Lines 51 to 58: participants, operations, the assets' DTs, the algorithm's DT."""

from datatoken.ddo import parse_ddo, proof_of
from datatoken.errors import DataTokenError
from datatoken.types import Hex32, Scalar, sha256_hex
from examples.mvp1_banks.story import JOINT, LABEL, LOCAL, SEED, SHARE, Story
from examples.support.mpc.world import (
    NAMES,
    OPERATIONS,
    add_host,
    publish_algorithm,
    publish_compute,
    publish_data,
    register_operation,
    start_services,
)

JOINT_MODEL = "Credit model of both banks"
MARKETING = "Credit model, kept for marketing"


def participants(story: Story) -> None:
    """Line 51: the administrator deploys and adds the institutions."""
    world = story.world
    site = world.site(world.accounts["admin"])
    names = [site.name_of(world.accounts[name].address) for name in story.options.institutions]
    story.checks.hold(
        51,
        f"The contracts are deployed; registered with name and account: {', '.join(names)}.",
        names == [NAMES[name] for name in story.options.institutions],
    )


def operations(story: Story) -> None:
    """Line 52: digests on the chain, bundles in the store."""
    world = story.world
    site = world.site(world.accounts["admin"])
    good = []
    for name in (SHARE, JOINT, LOCAL):
        record = site.contracts.operations.operation(register_operation(world, OPERATIONS / name))
        good.append(sha256_hex(site.store.get(record.bundle, 2**20)) == record.bundle)
    story.checks.hold(
        52, f"{SHARE}, {JOINT} and {LOCAL}: digests on the chain, bundles in the store.", all(good)
    )


def leaves(story: Story) -> None:
    """Lines 53 to 56: the banks' tables and the compute services."""
    world, providers = story.world, story.options.providers
    for bank in ("A", "B"):
        # A's table is granted by a human, all else by the owner's standing policy.
        add_host(world, bank, "private", "queue" if bank == "A" else "auto")
        publish_data(world, bank, [SHARE, LOCAL])
    for provider in providers:
        add_host(world, provider, "federated")
        publish_compute(world, provider, [JOINT])
    site = world.site(world.accounts["C"])
    found = {name: site.documents.ddo(world.dts[name]).service for name in story.leaves}
    ids = world.operations
    story.checks.hold(
        53,
        "A's and B's tables support secret sharing in their private domains.",
        all(ids[SHARE] in found[f"{bank}-data"].supported_ops for bank in ("A", "B")),
    )
    story.checks.hold(
        54,
        "A's and B's computes support the joint model in the federated domain.",
        all(ids[JOINT] in found[f"{bank}-compute"].supported_ops for bank in ("A", "B")),
    )
    story.checks.hold(
        55,
        f"{len(found)} DTs and {len(found)} documents"
        + (", one of them of the third compute provider." if "D" in providers else "."),
        len({world.dts[name] for name in found}) == len(found) == 2 + len(providers),
    )
    story.checks.hold(
        56,
        "Each document is in the store; DT, storage path and proof are on the chain.",
        all(_on_chain(story, world.dts[name]) for name in found),
    )


def algorithm(story: Story) -> None:
    """Lines 57 and 58: C composes all leaves, one operation each."""
    world = story.world
    stages = [
        {"A-data": SHARE, "B-data": SHARE},
        {f"{name}-compute": JOINT for name in story.options.providers},
    ]
    fixed: dict[str, Scalar] = {"label": LABEL, "seed": SEED}
    of_sharing = {SHARE: fixed}
    dt = publish_algorithm(world, JOINT_MODEL, stages, parameters=of_sharing)
    publish_algorithm(world, MARKETING, stages, purpose="marketing", parameters=of_sharing)
    for bank in ("A", "B"):
        stage = [{f"{bank}-data": LOCAL}]
        publish_algorithm(world, alone(bank), stage, parameters={LOCAL: fixed})
    site = world.site(world.accounts["C"])
    given = {
        k: op
        for stage in site.documents.ddo(dt).service.workflows[0].set_ops
        for k, op in stage.items()
    }
    story.checks.hold(
        57,
        "C composes them with one operation each: op_1, op_2 share; the others compute on shares.",
        [given[str(n)] for n in range(len(given))]
        == [world.operations[SHARE]] * 2 + [world.operations[JOINT]] * (len(given) - 2),
    )
    story.checks.hold(58, f"The algorithm's DT is {dt[:18]}….", _on_chain(story, dt))


def alone(bank: str) -> str:
    """Return the name of the algorithm that trains on one bank's columns only."""
    return f"Credit model of bank {bank} alone"


def services(story: Story) -> None:
    """Start the recorder and every asset service, each a process of its own."""
    start_services(story.world)
    for host in story.world.hosts.values():
        story.tell(f"{NAMES[host.owner.name]}, {host.domain} domain: {host.endpoint}")


def _on_chain(story: Story, dt: Hex32) -> bool:
    """Tell whether the record leads to a document that hashes to it."""
    site = story.world.site(story.world.accounts["C"])
    try:
        record = site.documents.record(dt)
        ddo = parse_ddo(site.store.get(record.ddo, 2**18))
    except DataTokenError:
        return False
    return ddo.dt == dt and ddo.proof == record.proof == proof_of(ddo.metadata)
