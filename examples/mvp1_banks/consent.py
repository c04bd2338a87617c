"""Lines 59 to 62: terms, grants, the task and the job; and what is refused on the way."""

from datatoken.authorization.reasons import Reason
from datatoken.chain.errors import ContractError
from datatoken.errors import RunFailedError
from datatoken.service.assets.models import AuthorizationState
from datatoken.types import JobStatus
from examples.mvp1_banks.assets import JOINT_MODEL, MARKETING, alone
from examples.mvp1_banks.story import Story
from examples.support.mpc.consent import approve, ask, ask_all, granted, post
from examples.support.report import Refusal

OUTSIDE_TERMS = "a purpose that the banks' terms do not name"
ONE_MISSING = "posting with one grant missing"


def verify_and_grant(story: Story) -> list[Refusal]:
    """Lines 59 and 60: every service checks its owner's terms; all grants or none."""
    world, checks = story.world, story.checks
    refused = [ask(world, asset, world.dts[MARKETING]) for asset in story.leaves]
    why = next((text for answer in refused for text in answer.violations), "")
    checks.hold(
        59,
        f"A and B verify each algorithm against their own terms; refused is marketing: {why}",
        all(answer.state is AuthorizationState.REFUSED and answer.violations for answer in refused),
    )
    none = granted(world, world.dts[MARKETING])
    answers = {asset: ask(world, asset, world.dts[JOINT_MODEL]) for asset in story.leaves}
    waiting = [a for a, found in answers.items() if found.state is AuthorizationState.QUEUED]
    missing = _post_too_early(story)
    for asset in waiting:
        story.tell(f"{asset}: a human at the bank reads the request, and says yes.")
        approve(world, asset, answers[asset])
    have = granted(world, world.dts[JOINT_MODEL])
    checks.hold(
        60,
        f"The failure has left no grant; the success {len(have)}: {', '.join(have)}.",
        not none and have == story.leaves and waiting == ["A-data"],
    )
    outside = Refusal(OUTSIDE_TERMS, "every asset service", Reason.PURPOSE_NOT_ACCEPTED, why)
    return [outside, missing]


def _post_too_early(story: Story) -> Refusal:
    world = story.world
    try:
        post(world, "Too early", world.dts[JOINT_MODEL])
    except ContractError as error:
        story.tell(f"C can't post before A's table is granted: {error.code}.")
        return Refusal(ONE_MISSING, "the task market", error.code, error.message)
    raise RunFailedError("A job was posted with a grant missing.")


def task_and_job(story: Story) -> None:
    """Lines 61 and 62: C creates a task and posts the algorithm DT as its job."""
    world, market = story.world, story.world.site(story.world.accounts["C"]).contracts.market
    job = post(world, JOINT_MODEL, world.dts[JOINT_MODEL])
    record = world.site(world.accounts["C"]).reader.job(job)
    task = market.task(record.task)
    story.checks.hold(
        61, f"C's task on the market: {record.task}.", task.owner == world.accounts["C"].address
    )
    story.checks.hold(
        62,
        f"C has posted the algorithm DT as job {job[:18]}… and so vouches for it.",
        record.status is JobStatus.OPEN
        and record.algorithm == world.dts[JOINT_MODEL]
        and record.guarantor == world.accounts["C"].address,
    )
    story.jobs[JOINT_MODEL] = job
    for bank in ("A", "B"):
        ask_all(world, world.dts[alone(bank)])
        story.jobs[alone(bank)] = post(world, alone(bank), world.dts[alone(bank)])
