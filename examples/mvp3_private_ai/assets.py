"""Line 83, and what the consumer finds: operations, the assets' DTs, algorithms, services."""

from datatoken.types import Scalar, sha256_hex
from examples.mvp1_banks.assets import JOINT_MODEL, MARKETING, alone
from examples.mvp1_banks.story import LABEL, SEED
from examples.mvp3_private_ai.story import LOCAL, ON_SPU, ROSETTA, Story
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


def operations(story: Story) -> None:
    """Line 83: the joint model is a trusted operation, for SPU and for Rosetta."""
    world = story.world
    site = world.site(world.accounts["admin"])
    good, roles = [], []
    for name in (ON_SPU, ROSETTA, LOCAL):
        dt = register_operation(world, OPERATIONS / name)
        record = site.contracts.operations.operation(dt)
        good.append(sha256_hex(site.store.get(record.bundle, 2**20)) == record.bundle)
        roles += list(site.documents.operation(dt).document.entry_points)
    story.checks.hold(
        83,
        f"Registered, with the digests of their bytes: {ON_SPU}, {ROSETTA}, {LOCAL}; they run as "
        f"{', '.join(roles)}.",
        all(good) and roles == ["spu.compute", "rosetta", "local"],
    )


def leaves(story: Story) -> None:
    """Describe the banks' tables and D's compute; mint their DTs."""
    for bank in ("A", "B"):
        # A's table is granted by a human, all else by the owner's standing policy.
        add_host(story.world, bank, "private", "queue" if bank == "A" else "auto")
        publish_data(story.world, bank, [ROSETTA, LOCAL])
    add_host(story.world, "D", "federated")
    publish_compute(story.world, "D", [ROSETTA])


def algorithms(story: Story) -> None:
    """Have C compose: the joint model, one for each bank alone, and one outside the terms."""
    fixed: dict[str, Scalar] = {"label": LABEL, "seed": SEED}
    stages = [dict.fromkeys(story.leaves, ROSETTA)]
    joint = {ROSETTA: fixed}
    publish_algorithm(story.world, JOINT_MODEL, stages, parameters=joint)
    publish_algorithm(story.world, MARKETING, stages, purpose="marketing", parameters=joint)
    for bank in ("A", "B"):
        stage = [{f"{bank}-data": LOCAL}]
        publish_algorithm(story.world, alone(bank), stage, parameters={LOCAL: fixed})


def services(story: Story) -> None:
    """Start the recorder and every asset service, each a process of its own."""
    start_services(story.world)
    for host in story.world.hosts.values():
        story.tell(f"{NAMES[host.owner.name]}, {host.domain} domain: {host.endpoint}")
