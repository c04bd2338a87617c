"""Honest runs: ``rtt-tracer run`` asks every service, follows, and opens the results for C."""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from datatoken.authorization.request import MAX_REQUEST_BYTES, parse_request
from datatoken.errors import RunFailedError
from datatoken.types import Hex32, Scalar
from examples.support.mpc.consent import children_of
from examples.support.mpc.hosts import engine_python
from examples.support.mpc.watch import Part, parts_of
from examples.support.mpc.world import CreditWorld
from examples.support.processes import program

LIMIT, POLL = 900.0, 0.3
OnProgress = Callable[[list[Part]], None]


@dataclass(frozen=True)
class Ran:
    """A run that has ended.

    Attributes
    ----------
    run : str
        Its id: the first half of the request's digest.
    request : Hex32
        The compute request's digest.
    values : mapping of str to ndarray
        What the run has opened for C, by name.
    parts : list of Part
        What each owner has noted of its own part.
    """

    run: str
    request: Hex32
    values: Mapping[str, npt.NDArray[np.float64]]
    parts: list[Part]


@dataclass
class Runs:
    """Starts runs with C's command line."""

    world: CreditWorld
    count: int = 0

    def run(
        self,
        job: Hex32,
        parameters: Mapping[str, Scalar],
        on_progress: OnProgress = lambda parts: None,
    ) -> Ran:
        """Run a job and wait.

        Raises
        ------
        RunFailedError
            With the reason that the command gives.
        """
        self.count += 1
        out = self.world.accounts["C"].folder / f"run-{self.count}"
        command = self._command(job, parameters, out)
        process = self.world.processes.start(f"run-{self.count}", command)
        started = time.monotonic()
        while process.exit_code is None:
            if time.monotonic() - started > LIMIT:
                raise RunFailedError(f"rtt-tracer run did not end within {LIMIT:.0f} s.")
            if run := newest_run(self.world, job):
                on_progress(parts_of(self.world, run))
            time.sleep(POLL)
        told = _json(process.result())
        if process.exit_code:
            error = told.get("error", {})
            why = f"{error.get('code', '')} {error.get('message', '') or process.tail()}"
            raise RunFailedError(f"The run failed: {why.strip()}")
        request, run = str(told["request"]), str(told["run"])
        if not told["logged"]:
            raise RunFailedError(f"Run {run} is not in the log of rounds.")
        return Ran(run, request, _values(Path(told["results"])), parts_of(self.world, run))

    def parameters_of(self, request: Hex32) -> dict[str, Scalar]:
        """Return the effective run configuration that a request names."""
        store = self.world.site(self.world.accounts["C"]).store
        signed = parse_request(store.get(request, MAX_REQUEST_BYTES))
        plain: dict[str, Scalar] = json.loads(store.get(signed.request.parameters, 2**16))
        return plain

    def _command(self, job: Hex32, parameters: Mapping[str, Scalar], out: Path) -> list[str]:
        world, c = self.world, self.world.accounts["C"]
        command = [program("rtt-tracer"), "run", job, "--format", "json"]
        hosts = {host.name: host for host in map(world.host_of, self._assets(job))}
        trusted = out.with_suffix(".pem")
        trusted.write_text(
            "".join(host.certificate.read_text(encoding="utf-8") for host in hosts.values()),
            encoding="utf-8",
        )
        for host in hosts.values():
            command += ["--service", host.endpoint]
        for name, value in parameters.items():
            command += ["--parameter", f"{name}={value}"]
        command += ["--root-certificates", str(trusted), "--spu", str(engine_python("spu"))]
        command += ["--deployment", str(world.deployment_path), "--store", world.store]
        command += ["--folder", str(c.folder), "--keystore", str(c.keystore)]
        return [*command, "--password-file", str(c.password_file), "--out", str(out)]

    def _assets(self, job: Hex32) -> list[str]:
        site = self.world.site(self.world.accounts["C"])
        return children_of(self.world, site.reader.job(job).algorithm)


def newest_run(world: CreditWorld, job: Hex32) -> str | None:
    """Return the id of the newest run of a job that any owner has a folder of."""
    found = []
    for host in world.hosts.values():
        for dt in host.assets:
            for path in (host.state(dt) / "runs").glob("*/status.json"):
                if job in path.read_text(encoding="utf-8"):
                    found.append((path.parent.stat().st_ctime, path.parent.name))
    return max(found)[1] if found else None


def _values(path: Path) -> dict[str, npt.NDArray[np.float64]]:
    with np.load(path, allow_pickle=False) as file:
        return {name: np.asarray(file[name], np.float64) for name in file.files}


def _json(text: str) -> dict[str, Any]:
    try:
        plain = json.loads(text)
    except ValueError:
        return {}
    return plain if isinstance(plain, dict) else {}
