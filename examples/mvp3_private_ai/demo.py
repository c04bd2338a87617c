"""The story: assets, consent, both modes, the regulator, refusals. Every process is real."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from rich.console import Console

from datatoken.errors import RunFailedError
from examples.mvp1_banks.assets import JOINT_MODEL
from examples.mvp1_banks.clear import auc_in_the_clear
from examples.mvp3_private_ai import assets, consent, functions, refusals, training
from examples.mvp3_private_ai.story import ROWS, Options, Story
from examples.support.checks import Checks
from examples.support.command import make_folder
from examples.support.credit import load_credit
from examples.support.mpc.hosts import check_engine
from examples.support.mpc.report import Outcome, draw_auc, show_model
from examples.support.mpc.requests import request_of
from examples.support.mpc.runs import Ran, Runs
from examples.support.mpc.trace import show_traces, trace_of, traces_of
from examples.support.mpc.watch import bytes_sent, training_seconds
from examples.support.mpc.world import start_world
from examples.support.processes import Processes
from examples.support.recorder import gas_of_rounds
from examples.support.report import show_facts, show_refusals
from examples.support.show import Show
from rtt_tracer.operations.reading import auc


def run_demo(options: Options, console: Console) -> Outcome:
    """Run the whole demo and show it; return what it found.

    Raises
    ------
    DataTokenError
        Something did not come up, a run failed, or an acceptance line does not hold.
    """
    for engine in ("rosetta", "spu"):  # the local model runs with the SPU engine's interpreter
        check_engine(engine)
    show = Show(console)
    with _story(options, show) as story:
        outcome = _play(story)
    outcome = replace(outcome, seconds=show.seconds, seconds_by_part=dict(show.parts))
    console.print(
        f"\nDone in {show.seconds:.0f} s. Logs and state: {options.folder}", highlight=False
    )
    return outcome


@contextmanager
def _story(options: Options, show: Show) -> Iterator[Story]:
    credit = load_credit(options.rows, at_most=ROWS)
    show.console.print(f"[bold]MVP 3, traceable private AI[/bold]: {credit.title}.")
    make_folder(options.folder)
    with Processes(options.folder / "logs") as processes:
        with show.part("The chain and the participants"):
            world = start_world(
                options.folder,
                credit,
                processes,
                options.institutions,
                show.tell,
                options.store,
            )
        try:
            yield Story(options, world, show, Checks(show.tell))
        finally:
            world.close()


def _play(story: Story) -> Outcome:
    show = story.show
    with show.part("Operations, assets, algorithms"):
        assets.operations(story)
        assets.leaves(story)
        assets.algorithms(story)
    with show.part("Services"):
        assets.services(story)
    with show.part("Authorization requests"):
        refused = [consent.ask_everybody(story)]
        consent.post_jobs(story)
    runs = Runs(story.world)
    with show.part("Local mode: each bank alone"):
        alone = training.train_alone(story, runs)
    with show.part("Joint mode: both banks on Rosetta"):
        ran = training.train_jointly(story, runs)
    with show.part("The regulator"):
        functions.query(story)
        refused.append(functions.go_through(story))
    outcome = _outcome(story, runs, ran, alone)
    show_model(show.console, outcome)
    show_facts(show.console, "Trace of bank A's table", outcome.trace)
    show_traces(show.console, "Who has used what, when, with whose permission", outcome.uses)
    curve = draw_auc(outcome, story.options.folder / "auc.png")
    show.tell(f"The picture: {curve}" if curve else "matplotlib is missing: no picture is drawn.")
    if story.options.refusals:
        with show.part("Refused"):
            refused += refusals.refuse_all(story, request_of(story.world, ran.request))
    refused = refusals.with_lines(refused)
    show_refusals(show.console, refused)
    if wrong := refusals.unexpected(refused):
        raise RunFailedError(f"Not refused as it must be: {'; '.join(wrong)}.")
    return replace(outcome, refusals=tuple(refused), lines=dict(story.checks.lines))


def _outcome(story: Story, runs: Runs, ran: Ran, alone: dict[str, float]) -> Outcome:
    world, job = story.world, story.jobs[JOINT_MODEL]
    gas = gas_of_rounds(world.site(world.accounts["C"]), job, world.accounts["recorder"].address)
    return Outcome(
        title=world.credit.title,
        protocol=story.options.protocol,
        rows=world.credit.rows,
        epochs=story.options.epochs,
        auc=auc(ran.values["histogram"]),
        auc_alone=alone,
        auc_clear=_in_the_clear(story, runs, ran),
        bytes_sent=bytes_sent(ran.parts),
        train_seconds=training_seconds(ran.parts),
        gas_by_round=[gas[number] for number in sorted(gas)],
        lines=dict(story.checks.lines),
        trace=trace_of(world, "A-data", job),
        uses=traces_of(world, story.leaves, job),
    )


def _in_the_clear(story: Story, runs: Runs, ran: Ran) -> float:
    with tempfile.TemporaryDirectory(prefix="mvp3-clear-") as folder:
        parameters = {**runs.parameters_of(ran.request), "encoding": "model"}
        return auc_in_the_clear(story.world.credit, parameters, Path(folder))
