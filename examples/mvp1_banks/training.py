"""Lines 63 to 66: C operates the banks' services; each bank checks; only shares travel."""

from datatoken.errors import RunFailedError
from datatoken.types import sha256_hex
from examples.mvp1_banks.assets import JOINT_MODEL, alone
from examples.mvp1_banks.story import JOINT, SHARE, Story
from examples.support.mpc.exposure import look_at_shares
from examples.support.mpc.rows import search_rows
from examples.support.mpc.runs import Ran, Runs
from examples.support.mpc.watch import Part, standing
from rtt_tracer.bundle import write_bundle
from rtt_tracer.operations.reading import auc
from rtt_tracer.program import read_program


def train_alone(story: Story, runs: Runs) -> dict[str, float]:
    """Have each bank train on its own columns, in its private domain; return the AUCs."""
    found = {}
    for bank in ("A", "B"):
        ran = runs.run(story.jobs[alone(bank)], {})
        found[bank] = auc(ran.values["histogram"])
        story.tell(f"Bank {bank} alone: AUC {found[bank]:.3f} on held-out rows.")
    return found


def train_jointly(story: Story, runs: Runs) -> Ran:
    """Train the joint model and go through lines 63 to 66."""
    epochs = story.options.epochs
    with story.show.bar(f"{epochs} epochs", epochs) as bar:
        done = 0
        bar.note("the parties are started")

        def progress(parts: list[Part]) -> None:
            nonlocal done
            stage = min((part.status.get("stage") or 0 for part in parts), default=0)
            if not done:
                bar.note(standing(parts))
            while done < stage:
                done += 1
                bar.step(f"epoch {done}")
                story.tell(f"Stage {done} of {epochs}: all parties have signed the one before.")

        ran = runs.run(story.jobs[JOINT_MODEL], story.parameters(), progress)
    check(story, runs, ran)
    return ran


def check(story: Story, runs: Runs, ran: Ran) -> None:
    """Go through lines 63 to 66."""
    world, checks = story.world, story.checks
    states = {part.asset: part.status["state"] for part in ran.parts}
    checks.hold(
        63,
        f"C has run {len(states)} assets by HTTPS, one request for all: {ran.request[:18]}….",
        states == dict.fromkeys(story.leaves, "finished"),
    )
    checks.hold(
        64,
        "Each gate has said yes before its party met any other; no stage began without its go.",
        all(authorised_first(part, story.options.epochs) for part in ran.parts),
    )
    digests = {part.asset: bundle_run(part) for part in ran.parts}
    wanted = {
        asset: world.site(world.accounts["C"])
        .contracts.operations.operation(
            world.operations[SHARE if asset.endswith("-data") else JOINT]
        )
        .bundle
        for asset in digests
    }
    checks.hold(
        65,
        "Each party's process has run the registered bytes, fetched and hashed.",
        digests == wanted,
    )
    parameters = runs.parameters_of(ran.request)
    seen = look_at_shares(ran.parts, parameters)
    search = search_rows(world, ran.parts, parameters)
    checks.hold(
        66,
        f"What the computes hold of {seen.rows:,} x {seen.columns} encoded values is shares: the "
        f"strongest correlation with a value is {seen.correlation:.3f}. No row of A or B is in "
        f"any of the {search.files:,} files outside of their private domains.",
        seen.correlation < seen.chance
        and not seen.tables
        and search.inside > 0
        and not search.outside,
    )


def authorised_first(part: Part, epochs: int) -> bool:
    """Tell whether the gate came first, and gave the go for every stage: an old one lapses."""
    names = part.names()
    went = [event["stage"] for event in part.events if event["event"] == "go"]
    return names.index("authorised") < names.index("introduced") and went == [*range(epochs + 1)]


def bundle_run(part: Part) -> str:
    """Return the digest of the bundle that the engine's process was given."""
    folder = part.folder / "work" / "bundle"
    if not folder.is_dir():
        raise RunFailedError(f"{part.asset} has kept no work folder.")
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != "program.json" and "__pycache__" not in path.parts
    }
    return sha256_hex(write_bundle(read_program(folder), files))
