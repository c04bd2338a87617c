"""Honest runs: ``fl-edge run`` signs B's request, has A verify and announce it, and follows."""

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from datatoken.errors import RunFailedError
from datatoken.rounds.documents import RoundDocument
from datatoken.types import Hex32, Scalar
from examples.mvp2_wearables.rounds import Log
from examples.mvp2_wearables.stack import Link
from examples.mvp2_wearables.world import World
from examples.support.processes import Process, Processes, program

POLL = 0.3
LIMIT = 1800.0
REST = 8.0
PHASE_DONE = "Aggregated MetricRecord:"
STARTED = re.compile(r"Run (\d+) has started")
OnDocument = Callable[[RoundDocument], None]


@dataclass(frozen=True)
class Finished:
    """A run that has ended.

    Attributes
    ----------
    run : str
        Its id; empty when it was refused before it started.
    exit_code : int
        Of ``fl-edge run``: 0 when all rounds were done.
    code, reason : str
        Its error otherwise: the reason code, and one sentence.
    text : str
        What it has printed: the ServerApp's log.
    documents : list of RoundDocument
        What the recorder logged of it.
    """

    run: str
    exit_code: int
    code: str
    reason: str
    text: str
    documents: list[RoundDocument]


@dataclass
class Runs:
    """Starts runs of the demo's job on A's SuperLink."""

    world: World
    processes: Processes
    link: Link
    log: Log
    layers: str
    round_timeout: float = 120.0
    _count: int = 0

    def overrides(self, rounds: int) -> dict[str, Scalar]:
        """Return the run configuration that B asks for."""
        return {
            "num-server-rounds": rounds,
            "layers": self.layers,
            "min-nodes": self.world.minimum,
            "round-timeout": self.round_timeout,
        }

    def run(
        self,
        rounds: int,
        *,
        resume: bool = False,
        job: Hex32 | None = None,
        on_document: OnDocument = lambda document: None,
    ) -> Finished:
        """Run `rounds` rounds and wait; `on_document` is called for each round as it is logged."""
        self._count += 1
        command = self._command(job or self.world.job, self.overrides(rounds), resume=resume)
        process = self.processes.start(f"run-{self._count}", command)
        self._follow(process, on_document)
        text = process.text()
        started = STARTED.search(text)
        error = _error(process.result())
        run = started[1] if started else ""
        self._rest(run, text.count(PHASE_DONE), on_document)
        code = process.exit_code
        return Finished(
            run=run,
            exit_code=-1 if code is None else code,
            code=error.get("code", ""),
            reason=error.get("message", ""),
            text=text,
            documents=self.log.of_run(run),
        )

    def _command(self, job: Hex32, config: Mapping[str, Scalar], *, resume: bool) -> list[str]:
        world = self.world
        a, b = world.accounts["A"], world.accounts["B"]
        command = [program("fl-edge"), "run", job, "--superlink", self.link.address, "--insecure"]
        command += ["--format", "json"]
        command += ["--deployment", str(world.deployment_path), "--store", world.store]
        command += ["--folder", str(b.folder), "--keystore", str(b.keystore)]
        command += ["--password-file", str(b.password_file)]
        command += ["--announce-keystore", str(a.keystore)]
        command += ["--announce-password-file", str(a.password_file)]
        for name, value in config.items():
            text = f'"{value}"' if isinstance(value, str) else str(value)
            command += ["--run-config", f"{name}={text}"]
        return [*command, "--resume"] if resume else command

    def _follow(self, process: Process, on_document: OnDocument) -> None:
        started = time.monotonic()
        while process.exit_code is None:
            for document in self.log.new():
                on_document(document)
            if time.monotonic() - started > LIMIT:
                raise RunFailedError(f"fl-edge run did not end within {LIMIT:.0f} s.")
            time.sleep(POLL)

    def _rest(self, run: str, phases: int, on_document: OnDocument) -> None:
        """Wait for the last documents: receipts travel beside Flower's own traffic."""
        deadline = time.monotonic() + REST
        while len(self.log.of_run(run)) < phases and time.monotonic() < deadline:
            for document in self.log.new():
                on_document(document)
            time.sleep(POLL)


def _error(result: str) -> dict[str, str]:
    """Return the error of a command's JSON result, or an empty one."""
    try:
        plain = json.loads(result)
    except ValueError:
        return {}
    error = plain.get("error", {}) if isinstance(plain, dict) else {}
    return {name: str(value) for name, value in error.items()}
