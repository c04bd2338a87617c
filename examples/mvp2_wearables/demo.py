"""The story: set up, train, trace, refuse. Every process is real and is stopped at the end."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from datatoken.errors import RunFailedError
from datatoken.ports import free_port
from datatoken.rounds.documents import RoundDocument
from datatoken.service.client import RecorderClient
from examples.mvp2_wearables import refusals, report
from examples.mvp2_wearables.data import DataSet, People, load_people
from examples.mvp2_wearables.report import Outcome
from examples.mvp2_wearables.rounds import Log, aggregates_of, collect
from examples.mvp2_wearables.runs import Runs
from examples.mvp2_wearables.stack import Stack
from examples.mvp2_wearables.trace import trace_of
from examples.mvp2_wearables.world import World, grant_and_post, publish, register, start_world
from examples.support.command import make_folder
from examples.support.ground import DEFAULT_NETWORK
from examples.support.processes import Processes
from examples.support.report import Refusal, show_facts, show_refusals
from examples.support.show import Bar, Show


@dataclass(frozen=True)
class Options:
    """What the command line asks for."""

    users: int
    rounds: int
    data: DataSet
    client: str
    refusals: bool
    folder: Path
    network: str = DEFAULT_NETWORK
    store: str | None = None


def run_demo(options: Options, console: Console) -> Outcome:
    """Run the whole demo and show it; return what it found.

    Raises
    ------
    DataTokenError
        Something did not come up, or the run failed.
    """
    show = Show(console)
    people = load_people(options.data, options.users)
    console.print(f"[bold]MVP 2, wearables[/bold]: {people.title}.")
    make_folder(options.folder)
    with _world(options, people, show) as world, Processes(options.folder / "logs") as processes:
        outcome = _play(options, people, show, Stack(world, processes, free_port()))
    outcome = replace(outcome, seconds=show.seconds, seconds_by_part=dict(show.parts))
    console.print(
        f"\nDone in {show.seconds:.0f} s. Logs and state: {options.folder}", highlight=False
    )
    return outcome


@contextmanager
def _world(options: Options, people: People, show: Show) -> Iterator[World]:
    with show.part("The chain and the people"):
        world = start_world(
            options.folder, people, show.tell, network=options.network, store=options.store
        )
    try:
        yield world
    finally:
        world.close()


def _play(options: Options, people: People, show: Show, stack: Stack) -> Outcome:
    world = stack.world
    with show.part("Assets, grants, job"):
        register(world, options.client, show.tell)
        publish(world, people, options.client, stack.endpoint, show.tell)
        grant_and_post(world, show.tell)
    with show.part("Programs"):
        stack.start_recorder()
        link = stack.start_superlink()
        show.tell(f"A's recorder and SuperLink run ({stack.endpoint}, {link.address}).")
        nodes = {person.name: stack.start_supernode(person, link) for person in world.persons}
        stack.wait_for_nodes(list(nodes.values()))
        show.tell(f"{len(nodes)} users' SuperNodes run, each under its owner's gate.")
    client = RecorderClient(
        stack.endpoint,
        world.accounts["A"].signer,
        recorder=world.accounts["recorder"].address,
    )
    log = Log(world, client)
    runs = Runs(world, stack.processes, link, log, people.layers)
    outcome = _train(options, people, show, stack, runs)
    if options.refusals:
        scene = refusals.Scene(world, stack, link, nodes, runs, options.client, show.tell)
        outcome = replace(outcome, refusals=tuple(_refuse(scene, show)))
        show_refusals(show.console, outcome.refusals)
        if wrong := refusals.unexpected(outcome.refusals):
            raise RunFailedError(f"Not refused as it must be: {'; '.join(wrong)}.")
    client.close()
    return outcome


def _train(options: Options, people: People, show: Show, stack: Stack, runs: Runs) -> Outcome:
    world, log = stack.world, runs.log
    title = f"{options.rounds} rounds"
    with show.part(title), show.bar(title, 2 * options.rounds) as bar:
        show.tell("B signs a compute request; A verifies it and gives notice on the chain.")
        ended = runs.run(
            options.rounds, on_document=lambda document: _tell(show, bar, log, document)
        )
    if ended.exit_code:
        raise RunFailedError(f"The run failed: {ended.reason}")
    found = collect(log, [(ended.run, ended.text)], aggregates_of(world), people)
    outcome = Outcome(
        data=people.title,
        unseen=people.unseen,
        rounds=found,
        participants=tuple(
            p.name for p in world.persons if any(p.name in r.members for r in found)
        ),
        trace=trace_of(world, world.persons[0], log, stack.endpoint),
    )
    report.show_rounds(show.console, outcome)
    show_facts(show.console, "Trace of one user's DT", outcome.trace)
    curve = report.draw_curve(outcome, options.folder / "auc.png")
    show.tell(f"The curve: {curve}" if curve else "matplotlib is missing: no curve is drawn.")
    return outcome


def _tell(show: Show, bar: Bar, log: Log, document: RoundDocument) -> None:
    if document.closes is None:
        return
    kind = document.closes.kind.value
    show.tell(
        f"Logged on the chain as round {document.number}: {kind}, {document.size} users "
        f"({', '.join(log.names(document))})."
    )
    bar.step(f"{kind}: {document.size} users")


def _refuse(scene: refusals.Scene, show: Show) -> list[Refusal]:
    found: list[Refusal] = []
    with show.part("Refused: (a) a changed app, sent straight to A's SuperLink"):
        found += refusals.straight_to_superlink(scene)
    with show.part("Refused: (c) a job that nobody has posted"):
        found += refusals.unposted_job(scene)
    with show.part("Refused: (a) a changed app, through a SuperLink that asks nobody"):
        found += refusals.through_stock_superlink(scene)
    with show.part("Refused: (d) the chain is stopped"):
        found += refusals.chain_stopped(scene)
    with show.part("Refused: (b) a user revokes during the run"):
        found += refusals.revoked_during_the_run(scene)
    return found
