"""What is refused, each with real processes: (a) to (d) of the demo, and a missing notice."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from datatoken.rounds.documents import RoundDocument
from datatoken.types import MessageKind, Scalar
from examples.mvp2_wearables.hostile import honest_fab, hostile_fab
from examples.mvp2_wearables.processes import Process
from examples.mvp2_wearables.report import Refusal
from examples.mvp2_wearables.runs import Finished, Runs
from examples.mvp2_wearables.stack import Link, Stack
from examples.mvp2_wearables.world import ROOT, World, revoke_by
from fl_edge.control.client import Ended, SuperLink
from fl_edge.control.outcome import RunEndedError
from fl_edge.fab.keys import JOB_KEY

Tell = Callable[[str], None]
STOCK_RUN = 60.0


@dataclass(frozen=True)
class Scene:
    """What all refusals share."""

    world: World
    stack: Stack
    link: Link
    nodes: Mapping[str, Process]
    runs: Runs
    client: str
    tell: Tell

    @property
    def overrides(self) -> dict[str, Scalar]:
        """A short run's configuration."""
        return self.runs.overrides(rounds=1)


def refused_codes(text: str) -> list[str]:
    """Return the reason codes of all messages that a node's log says it has refused."""
    found = []
    for line in text.splitlines():
        if line.startswith("{") and '"refused"' in line:
            entry = json.loads(line)
            if entry.get("event") == "refused":
                found.append(entry["reason"])
    return found


def straight_to_superlink(scene: Scene) -> list[Refusal]:
    """Run (a), first half: submit the changed app to A's SuperLink, without asking anybody."""
    fab = hostile_fab(ROOT, scene.client)
    return [_submitted(scene, "the app with one line changed", fab, {JOB_KEY: scene.world.job})]


def unposted_job(scene: Scene) -> list[Refusal]:
    """Run (c): the registered app for a job that nobody has posted."""
    nobody = "0x" + "5e" * 32
    ended = scene.runs.run(rounds=1, job=nobody)
    scene.tell(f"fl-edge run: {ended.reason} (exit code {ended.exit_code})")
    case = "a job that was never posted"
    asked = Refusal(case, "fl-edge run, before it asks anybody", ended.code, ended.reason)
    fab = honest_fab(ROOT, scene.client)
    return [asked, _submitted(scene, case, fab, {JOB_KEY: nobody})]


def _submitted(scene: Scene, case: str, fab: bytes, hints: Mapping[str, Scalar]) -> Refusal:
    with SuperLink(scene.link.address, insecure=True) as superlink:
        try:
            superlink.start(fab, {**scene.overrides, **hints})
        except RunEndedError as error:
            scene.tell(f"A's SuperLink: {error.message}")
            return Refusal(case, "A's SuperLink", error.code, error.message)
    raise AssertionError(f"{case} was accepted")


def through_stock_superlink(scene: Scene, users: int = 2) -> list[Refusal]:
    """Run (a), second half, and a missing notice: a SuperLink that asks nobody.

    The makers' side is hostile as a whole here; what is left is each owner's own gate.
    """
    link = scene.stack.start_stock_superlink()
    chosen = scene.world.persons[:users]
    nodes = [scene.stack.start_supernode(person, link, "-stock") for person in chosen]
    scene.stack.wait_for_nodes(nodes)
    owner = scene.world.owner_of_composite()
    owner.withdraw(scene.world.job, scene.world.composite)
    owner.close()
    try:
        return [
            _stock_run(scene, link, nodes, case, fab)
            for case, fab in (
                ("the app with one line changed", hostile_fab(ROOT, scene.client)),
                ("the registered app, without A's notice", honest_fab(ROOT, scene.client)),
            )
        ]
    finally:
        scene.stack.processes.stop(*nodes, link.process)


def _stock_run(
    scene: Scene, link: Link, nodes: Sequence[Process], case: str, fab: bytes
) -> Refusal:
    before = [len(refused_codes(node.text())) for node in nodes]
    with SuperLink(link.address, insecure=True) as superlink:
        run = superlink.start(fab, {**scene.overrides, "min-nodes": len(nodes)})
        _wait(superlink, run)
        text = "".join(superlink.log(run))
    codes = [
        code
        for node, count in zip(nodes, before, strict=True)
        for code in refused_codes(node.text())[count:]
    ]
    if not codes or len(set(codes)) != 1 or "admitted" in "".join(n.text() for n in nodes):
        raise AssertionError(f"{case}: the owners' gates said {codes}")
    line = next(line for line in text.splitlines() if codes[0] in line)
    sentence = line[max(0, line.find("refused by")) :].strip()
    scene.tell(f"The server is told: {sentence}")
    return Refusal(case, f"{len(nodes)} owners' own gates", codes[0], sentence)


def _wait(superlink: SuperLink, run: int) -> Ended:
    deadline = time.monotonic() + STOCK_RUN
    while (ended := superlink.outcome(run)) is None:
        if time.monotonic() > deadline:
            raise AssertionError(f"run {run} did not end within {STOCK_RUN:.0f} s")
        time.sleep(0.2)
    return ended


def chain_stopped(scene: Scene) -> tuple[list[Refusal], Finished]:
    """Run (d): the chain stops during round 1; the run ends; `--resume` finishes it."""
    world = scene.world

    def stop_chain(document: RoundDocument) -> None:
        if _is_train(document) and world.anvil.running:
            scene.tell("The chain stops.")
            world.anvil.stop()

    ended = scene.runs.run(rounds=2, on_document=stop_chain)
    scene.tell(f"The run ended: {ended.reason} (exit code {ended.exit_code})")
    world.restart_chain()
    scene.tell("The chain is back; fl-edge run --resume goes on.")
    resumed = scene.runs.run(rounds=2, resume=True)
    done = len([d for d in resumed.documents if _is_train(d)])
    refusal = Refusal("the chain is stopped", "SuperLink and gates", ended.code, ended.reason, done)
    return [refusal], resumed


def revoked_during_the_run(scene: Scene) -> list[Refusal]:
    """Run (b): one user revokes, the others go on; a second one does, and the run fails."""
    world = scene.world
    relay = world.institution("A")
    leaving = [world.persons[-1], world.persons[-2]]
    revoked: list[str] = []

    def revoke(document: RoundDocument) -> None:
        if _is_train(document) and leaving:
            person = leaving.pop(0)
            revoke_by(world, person, relay)
            revoked.append(person.name)
            scene.tell(f"{person.name} revokes.")

    ended = scene.runs.run(rounds=4, on_document=revoke)
    relay.close()
    after = [d for d in ended.documents if _is_train(d)][1:]
    first = world.persons[-1]
    code = _last_code(scene.nodes[first.name])
    scene.tell(f"The run ended: {ended.reason} (exit code {ended.exit_code})")
    return [
        Refusal(
            "one user revokes during the run",
            f"{first.name}'s own gate",
            code,
            "; ".join(", ".join(scene.runs.log.names(document)) for document in after),
            len(after),
        ),
        Refusal(
            "a second one does: fewer than the terms ask for",
            "SuperLink and gates",
            ended.code,
            ended.reason,
        ),
    ]


def _last_code(node: Process) -> str:
    codes = refused_codes(node.text())
    return codes[-1] if codes else ""


def _is_train(document: RoundDocument) -> bool:
    return document.closes is not None and document.closes.kind is MessageKind.TRAIN
