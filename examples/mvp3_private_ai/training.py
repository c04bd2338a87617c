"""Lines 84, 85 and 87 to 89: the local and the joint mode, each through asset services."""

from examples.mvp1_banks.assets import JOINT_MODEL, alone
from examples.mvp1_banks.training import authorised_first, bundle_run
from examples.mvp3_private_ai.story import LOCAL, ROSETTA, Story
from examples.support.mpc.rows import search_rows
from examples.support.mpc.runs import Ran, Runs
from examples.support.mpc.watch import Part
from rtt_tracer.operations.reading import auc


def train_alone(story: Story, runs: Runs) -> dict[str, float]:
    """Have each bank train on its own columns, in its private domain; return the AUCs."""
    found, parts = {}, list[Part]()
    for bank in ("A", "B"):
        ran = runs.run(story.jobs[alone(bank)], {})
        found[bank] = auc(ran.values["histogram"])
        parts += ran.parts
        story.tell(f"Bank {bank} alone: AUC {found[bank]:.3f} on held-out rows.")
    domains = [story.world.host_of(part.asset).domain for part in parts]
    story.checks.hold(
        84,
        "Local computation: each bank's service in its private domain has run the local model, "
        "with no peer.",
        [part.status["state"] for part in parts] == ["finished"] * 2
        and domains == ["private"] * 2
        and not any(part.status["peers"] for part in parts),
    )
    return found


def train_jointly(story: Story, runs: Runs) -> Ran:
    """Train the joint model on Rosetta, and go through its lines."""
    epochs = story.options.epochs
    with story.show.bar(f"{epochs} epochs", epochs) as bar:
        done = 0

        def progress(parts: list[Part]) -> None:
            nonlocal done
            stage = min((part.status.get("stage") or 0 for part in parts), default=0)
            while done < stage:
                done += 1
                bar.step(f"epoch {done}")
                story.tell(f"Stage {done} of {epochs}: all parties have signed the one before.")

        ran = runs.run(story.jobs[JOINT_MODEL], story.parameters(), progress)
    check(story, runs, ran)
    return ran


def check(story: Story, runs: Runs, ran: Ran) -> None:
    """Go through lines 85, 87, 88 and 89."""
    world, checks = story.world, story.checks
    search = search_rows(world, ran.parts, {**runs.parameters_of(ran.request), "encoding": "model"})
    proxies = [part for part in ran.parts if world.host_of(part.asset).domain == "federated"]
    checks.hold(
        85,
        f"Proxy computation: {', '.join(part.asset for part in proxies)} has computed in the "
        f"federated domain, without rows: in none of {search.files:,} files outside of the "
        "private domains is a row of A or B.",
        len(proxies) == 1 and search.inside > 0 and not search.outside,
    )
    states = {part.asset: part.status["state"] for part in ran.parts}
    checks.hold(
        87,
        f"One signed compute request, sent to {len(states)} services: {ran.request[:18]}….",
        states == dict.fromkeys(story.leaves, "finished"),
    )
    record = world.site(world.accounts["C"]).contracts.operations.operation(
        world.operations[ROSETTA]
    )
    checks.hold(
        88,
        "Each gate has asked the chain before its party met any other and before every stage; "
        "then the registered bytes were fetched, hashed and run.",
        all(authorised_first(part, story.options.epochs) for part in ran.parts)
        and {bundle_run(part) for part in ran.parts} == {record.bundle},
    )
    protocols = {part.status["protocol"] for part in ran.parts}
    checks.hold(
        89,
        f"Both modes have run: {LOCAL} at each bank, {ROSETTA} jointly under "
        f"{', '.join(protocols)}.",
        84 in checks.lines and protocols == {story.options.protocol},
    )
