"""Putting shares together: they come from strangers, so it is done behind the walls.

SPU reads them in native code. Who opens results (the requester, a receiving bank) holds keys
and rows, so the process gets a copy of the shares, no network, and nothing else to read.
"""

import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from datatoken.errors import RunFailedError
from rtt_tracer.engines.base import Launch
from rtt_tracer.engines.child_process import CODE, argv, environment
from rtt_tracer.engines.events import EngineEvent, EventKind
from rtt_tracer.sandbox import EngineProcess, Limits
from rtt_tracer.sandbox.outputs import collect, open_output

OPEN_SECONDS = 300.0
SHARES, VALUES = "shares", "values.npz"
"""In the work folder: one folder of shares by rank, and what comes out."""


def put_together(python: Path, shares: Sequence[Path], out: Path) -> None:
    """Open results; see `SpuEngine.reconstruct`.

    Raises
    ------
    BadInputError
        When something among the shares is no plain file.
    LocalEnvironmentError
        When the process can't be started.
    RunFailedError
        When the shares do not belong together, or a value can't be right.
    """
    with tempfile.TemporaryDirectory(prefix="open-") as name:
        work = Path(name) / "work"
        work.mkdir(mode=0o700)
        for rank, folder in enumerate(shares):
            _copy(folder, work / SHARES / str(rank))
        command = argv(python.absolute(), "reconstruct")  # it starts in another folder
        launch = Launch(command, environment(work), readable=(CODE,))
        event = _last_word(launch, work, Path(name) / "log")
        if event.kind is not EventKind.END:
            why = event.message or f"SPU has failed ({event.code})."
            raise RunFailedError(f"The result can't be opened: {why}", "Run the job anew.")
        with open_output(work / VALUES) as values, out.open("wb") as file:
            shutil.copyfileobj(values, file)


def _copy(folder: Path, target: Path) -> None:
    target.mkdir(parents=True, mode=0o700)
    for path in collect(folder):
        if path.parent == folder:
            shutil.copyfile(path, target / path.name)


def _last_word(launch: Launch, work: Path, log: Path) -> EngineEvent:
    deadline = time.monotonic() + OPEN_SECONDS
    with EngineProcess.start(launch, work, Limits(), log) as process:
        while (left := deadline - time.monotonic()) > 0:
            event = process.next_event(left)
            if event is not None and event.kind in (EventKind.END, EventKind.FAILED):
                process.wait(max(0.0, deadline - time.monotonic()))
                return event
    raise RunFailedError(
        f"The result was not opened within {OPEN_SECONDS:g} seconds.", "Run the job anew."
    )
