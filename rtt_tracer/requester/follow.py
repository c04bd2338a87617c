"""Follows a run to its end: shows its stages, and stops all parties when one has ended badly."""

import time
from collections.abc import Callable, Sequence

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from datatoken.cli.output import Output
from datatoken.errors import DataTokenError
from datatoken.text import short
from datatoken.types import Hex32
from rtt_tracer.requester.sources import Source
from rtt_tracer.requester.watch import RunEndedError, RunView, view

POLL = 1.0
STOP_SECONDS = 60.0
"""How long the other parties may take to end once one has."""
AWAY_SECONDS = 30.0


def follow(
    source: Source,
    dts: Sequence[Hex32],
    output: Output,
    *,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> RunView:
    """Wait until all parties have finished.

    Raises
    ------
    RunEndedError
        When one of them has not; all others were asked to stop and had time to.
    DataTokenError
        When services are out of reach for too long.
    KeyboardInterrupt
        All parties were asked to stop.
    """
    try:
        return _follow(source, dts, output, clock, sleep)
    except KeyboardInterrupt:
        source.stop()
        raise


def _follow(
    source: Source,
    dts: Sequence[Hex32],
    output: Output,
    clock: Callable[[], float],
    sleep: Callable[[float], None],
) -> RunView:
    told: dict[Hex32, str] = {}
    seen, stopping = clock(), None
    with _bar(output) as bar:
        task = bar.add_task("stages", total=None)
        while True:
            try:
                found = view(source.look(), dts)
                seen = clock()
            except DataTokenError:
                if clock() - seen > AWAY_SECONDS:
                    raise
                sleep(POLL)
                continue
            _tell(found, told, output)
            if found.stages:
                bar.update(task, completed=max(0, found.stage), total=found.stages)
            if found.over:
                if found.broken:
                    raise RunEndedError(found)
                return found
            if found.broken and stopping is None:
                stopping = clock()
                source.stop()
            if stopping is not None and clock() - stopping > STOP_SECONDS:
                raise RunEndedError(found)
            sleep(POLL)


def _tell(found: RunView, told: dict[Hex32, str], output: Output) -> None:
    """Say once what a party has come to."""
    for one in found.parties:
        if told.get(one.dt, "waiting") != one.state:
            told[one.dt] = one.state
            output.note(f"{short(one.dt)} {one.state}{': ' + one.reason if one.reason else ''}")


def _bar(output: Output) -> Progress:
    return Progress(
        TextColumn("stage"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        console=output.errors,
        transient=True,
        disable=not output.errors.is_terminal,
    )
