"""What is refused, each with real processes: (a) to (d) of the demo, and a missing notice."""

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from datatoken.authorization.reasons import Reason
from datatoken.errors import RunFailedError
from datatoken.rounds.documents import RoundDocument
from datatoken.types import MessageKind, Scalar
from examples.mvp2_wearables.hostile import honest_fab, hostile_fab
from examples.mvp2_wearables.rounds import aggregates_of, wait_for_aggregate
from examples.mvp2_wearables.runs import Runs
from examples.mvp2_wearables.stack import Link, Stack
from examples.mvp2_wearables.world import World, revoke_by
from examples.support.ground import ROOT, Tell
from examples.support.processes import Process
from examples.support.report import Refusal
from fl_edge.control.client import Ended, SuperLink
from fl_edge.control.outcome import RunEndedError
from fl_edge.fab.keys import JOB_KEY

STOCK_RUN = 60.0

CHANGED = "the app with one line changed"
UNPOSTED = "a job that was never posted"
NO_NOTICE = "the registered app, without A's notice"
NO_CHAIN = "the chain is stopped during the run"
REVOKED = "one user revokes during the run"
TOO_FEW = "a second one does: fewer than the terms ask for"
EXPECTED = {
    CHANGED: Reason.OPERATION_MISMATCH,
    UNPOSTED: Reason.JOB_UNKNOWN,
    NO_NOTICE: Reason.NOT_ANNOUNCED,
    NO_CHAIN: Reason.CHAIN_UNREACHABLE,
    REVOKED: Reason.GRANT_REVOKED,
    TOO_FEW: Reason.TOO_FEW_PARTICIPANTS,
}


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
    def aggregates(self) -> Path:
        """Where A's SuperLink keeps the aggregates that are in the log."""
        return aggregates_of(self.world)

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
    return [_submitted(scene, CHANGED, fab, {JOB_KEY: scene.world.job})]


def unposted_job(scene: Scene) -> list[Refusal]:
    """Run (c): the registered app for a job that nobody has posted."""
    nobody = "0x" + "5e" * 32
    ended = scene.runs.run(1, job=nobody)
    scene.tell(f"fl-edge run: {ended.reason} (exit code {ended.exit_code})")
    asked = Refusal(UNPOSTED, "fl-edge run, before it asks anybody", ended.code, ended.reason)
    fab = honest_fab(ROOT, scene.client)
    return [asked, _submitted(scene, UNPOSTED, fab, {JOB_KEY: nobody})]


def _submitted(scene: Scene, case: str, fab: bytes, hints: Mapping[str, Scalar]) -> Refusal:
    with SuperLink(scene.link.address, insecure=True) as superlink:
        try:
            superlink.start(fab, {**scene.overrides, **hints})
        except RunEndedError as error:
            scene.tell(f"A's SuperLink: {error.message}")
            return Refusal(case, "A's SuperLink", error.code, error.message)
    raise RunFailedError(f"The demo expected a refusal: {case} was accepted.")


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
                (CHANGED, hostile_fab(ROOT, scene.client)),
                (NO_NOTICE, honest_fab(ROOT, scene.client)),
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
        raise RunFailedError(f"The demo expected one refusal ({case}); the gates said {codes}.")
    line = next(line for line in text.splitlines() if codes[0] in line)
    sentence = line[max(0, line.find("refused by")) :].strip()
    scene.tell(f"The server is told: {sentence}")
    return Refusal(case, f"{len(nodes)} owners' own gates", codes[0], sentence)


def _wait(superlink: SuperLink, run: int) -> Ended:
    deadline = time.monotonic() + STOCK_RUN
    while (ended := superlink.outcome(run)) is None:
        if time.monotonic() > deadline:
            raise RunFailedError(f"Run {run} did not end within {STOCK_RUN:.0f} s.")
        time.sleep(0.2)
    return ended


def chain_stopped(scene: Scene) -> list[Refusal]:
    """Run (d): the chain stops during round 1; the run ends; `--resume` finishes it."""
    world = scene.world

    def stop_chain(document: RoundDocument) -> None:
        if _is_train(document) and document.closes and world.anvil.running:
            wait_for_aggregate(scene.aggregates, document.closes.run)
            scene.tell("The chain stops.")
            world.anvil.stop()

    ended = scene.runs.run(2, on_document=stop_chain)
    scene.tell(f"The run ended: {ended.reason} (exit code {ended.exit_code})")
    world.restart_chain()
    scene.tell("The chain is back; fl-edge run --resume goes on.")
    resumed = scene.runs.run(2, resume=True)
    done = len([d for d in resumed.documents if _is_train(d)])
    refusal = Refusal(NO_CHAIN, "A's SuperLink and the gates", ended.code, ended.reason, done)
    if resumed.exit_code:
        raise RunFailedError(f"The job could not be resumed: {resumed.reason}")
    return [refusal]


def revoked_during_the_run(scene: Scene) -> list[Refusal]:
    """Run (b): one user revokes, the others go on; a second one does, and the run fails."""
    world = scene.world
    relay = world.institution("A")
    leaving = [world.persons[-1], world.persons[-2]]

    def revoke(document: RoundDocument) -> None:
        if _is_train(document) and leaving:
            person = leaving.pop(0)
            revoke_by(world, person, relay)
            scene.tell(f"{person.name} revokes.")

    ended = scene.runs.run(4, on_document=revoke)
    relay.close()
    after = [d for d in ended.documents if _is_train(d)][1:]
    first = world.persons[-1]
    code = _last_code(scene.nodes[first.name])
    scene.tell(f"The run ended: {ended.reason} (exit code {ended.exit_code})")
    return [
        Refusal(
            REVOKED,
            f"{first.name}'s own gate",
            code,
            "; ".join(", ".join(scene.runs.log.names(document)) for document in after),
            len(after),
        ),
        Refusal(
            TOO_FEW,
            "A's SuperLink and the others' gates",
            ended.code,
            ended.reason,
        ),
    ]


def unexpected(refusals: Sequence[Refusal]) -> list[str]:
    """Return a clause for each refusal that has another reason than the one it must have."""
    return [
        f"{refusal.case} ({refusal.by}): {refusal.code or 'not refused'}"
        for refusal in refusals
        if refusal.code != EXPECTED.get(refusal.case)
    ]


def _last_code(node: Process) -> str:
    codes = refused_codes(node.text())
    return codes[-1] if codes else ""


def _is_train(document: RoundDocument) -> bool:
    return document.closes is not None and document.closes.kind is MessageKind.TRAIN
