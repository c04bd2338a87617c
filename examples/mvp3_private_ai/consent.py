"""Line 86: the consumer asks every service for a grant, each holds it against its terms."""

from datatoken.authorization.reasons import Reason
from datatoken.service.assets.models import AuthorizationState
from examples.mvp1_banks.assets import JOINT_MODEL, MARKETING, alone
from examples.mvp1_banks.consent import OUTSIDE_TERMS
from examples.mvp3_private_ai.story import Story
from examples.support.mpc.consent import approve, ask, ask_all, granted, post
from examples.support.report import Refusal


def ask_everybody(story: Story) -> Refusal:
    """Ask all services for both joint algorithms: one is refused by all, one is granted."""
    world = story.world
    refused = [ask(world, asset, world.dts[MARKETING]) for asset in story.leaves]
    answers = {asset: ask(world, asset, world.dts[JOINT_MODEL]) for asset in story.leaves}
    waiting = [a for a, found in answers.items() if found.state is AuthorizationState.QUEUED]
    for asset in waiting:
        story.tell(f"{asset}: a human at the bank reads the request, and says yes.")
        approve(world, asset, answers[asset])
    have, none = granted(world, world.dts[JOINT_MODEL]), granted(world, world.dts[MARKETING])
    story.checks.hold(
        86,
        f"C has asked {len(answers)} services for grants; marketing is refused by each, the "
        f"credit model granted by {', '.join(have)}.",
        have == story.leaves
        and not none
        and waiting == ["A-data"]
        and all(answer.state is AuthorizationState.REFUSED for answer in refused),
    )
    why = next((text for answer in refused for text in answer.violations), "")
    return Refusal(OUTSIDE_TERMS, "every asset service", Reason.PURPOSE_NOT_ACCEPTED, why)


def post_jobs(story: Story) -> None:
    """Have C post the joint model, and the models of each bank alone."""
    world = story.world
    story.jobs[JOINT_MODEL] = post(world, JOINT_MODEL, world.dts[JOINT_MODEL])
    for bank in ("A", "B"):
        ask_all(world, world.dts[alone(bank)])
        story.jobs[alone(bank)] = post(world, alone(bank), world.dts[alone(bank)])
    story.tell(f"C has posted {len(story.jobs)} jobs, and so vouches for them.")
