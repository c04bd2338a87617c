"""Lines 90 and 91: the regulator's queries, and what can be done with a DT."""

from datatoken.chain.errors import ContractError
from datatoken.ddo import Metadata
from datatoken.roles.providers import ComputeProvider
from datatoken.trace.lineage import Node, downwards, upwards
from datatoken.types import Hex32
from examples.mvp1_banks.assets import JOINT_MODEL, alone
from examples.mvp1_banks.story import LABEL
from examples.mvp3_private_ai.story import ROSETTA, Story
from examples.support.mpc.world import NAMES, publish_algorithm
from examples.support.report import Refusal

SECOND = "Credit model of both banks, second version"
UNGRANTED = "posting an algorithm whose grant is revoked"
LIMIT = 7


def query(story: Story) -> None:
    """Line 90: the regulator asks the chain about one asset, and about one job."""
    world, epochs = story.world, story.options.epochs
    regulator = world.regulator()
    used = {use.algorithm_name: use for use in regulator.trace(world.dts["A-data"])}
    for name, use in used.items():
        purpose = use.purpose or "no purpose"
        story.tell(f"A's table in {name!r}, for {purpose}: rounds logged: {len(use.rounds)}.")
    documents = world.round_documents(story.jobs[JOINT_MODEL])
    members = [{signed.receipt.dt for signed in document.receipts} for document in documents]
    everybody = {world.dts[asset] for asset in story.leaves}
    story.checks.hold(
        90,
        f"The regulator finds {len(used)} uses of A's table, alone and joint, by whom and by "
        f"whose grant; each of the {len(documents)} joint rounds has {len(everybody)} signatures.",
        used.keys() == {JOINT_MODEL, alone("A")}
        and len(used[JOINT_MODEL].rounds) == len(documents) == epochs + 1
        and all(found == everybody for found in members),
    )


def go_through(story: Story) -> Refusal:
    """Line 91: a new version, composition, review, grant, revocation, lineage; all of a DT."""
    world = story.world
    old, new = world.dts["D-compute"], _new_version(story)
    world.dts["D-compute-2"] = new
    again = publish_algorithm(
        world,
        SECOND,
        [dict.fromkeys(["A-data", "B-data", "D-compute-2"], ROSETTA)],
        parameters={ROSETTA: {"label": LABEL}},
    )
    with world.owner("A") as owner:
        reviewed = owner.review(world.dts["A-data"], again)
        given = owner.grant(world.dts["A-data"], again, max_rounds=LIMIT)
        owner.revoke(world.dts["A-data"], again)
        taken = owner.site.reader.grant(again, world.dts["A-data"])
    refusal = _post(story, again)
    site = world.site(world.accounts["regulator"])
    below, above = downwards(site, again), upwards(site, world.dts["A-data"])
    kinds = {site.documents.record(dt).kind for dt in world.dts.values()}
    story.checks.hold(
        91,
        f"All of a DT's life: {len(world.dts)} minted, of {len(kinds)} kinds; composed, reviewed, "
        f"granted with a limit of {given.max_rounds}, revoked, and not to be posted then; a new "
        f"version that names the old one; lineage down to {len(below.below)} and up from one.",
        site.documents.ddo(new).service.extra_params.replaces == old
        and not reviewed.violations
        and given.active
        and given.max_rounds == LIMIT
        and not taken.active
        and taken.epoch == given.epoch + 1
        and {node.dt for node in below.below} == set(site.documents.ddo(again).children)
        and {world.dts[JOINT_MODEL], world.dts[alone("A")]} <= _all(above),
    )
    return refusal


def _new_version(story: Story) -> Hex32:
    """Have D publish its compute anew, as the version that replaces the first."""
    world = story.world
    with world.owner("D", ComputeProvider) as owner:
        first = owner.site.documents.ddo(world.dts["D-compute"]).metadata
        extra = first.services[0].extra_params.model_copy(
            update={"replaces": world.dts["D-compute"], "name": f"Compute of {NAMES['D']}, 2"}
        )
        service = first.services[0].model_copy(update={"extra_params": extra})
        return owner.publish(Metadata(services=[service])).dt


def _post(story: Story, algorithm: Hex32) -> Refusal:
    with story.world.institution("C") as maker:
        task = maker.create_task(SECOND, SECOND)
        try:
            maker.post_job(task, algorithm)
        except ContractError as error:
            return Refusal(UNGRANTED, "the task market", error.code, error.message)
        finally:
            maker.close_task(task)
    return Refusal(UNGRANTED, "nobody", "", "")


def _all(node: Node) -> set[Hex32]:
    return {node.dt}.union(*(_all(parent) for parent in node.above))
