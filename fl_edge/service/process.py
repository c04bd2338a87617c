"""One run of a job at the owner's SuperLink: started, followed, put into words. A process.

It holds no key that could grant or announce anything, and decides nothing: the SuperLink's
gate admits the run and lets every round go out. SIGTERM stops the run through the Control API.

``python -m fl_edge.service.process --config service.toml --dt DT --job JOB --request DIGEST``
"""

import argparse
import signal
import sys
import threading
import time
from pathlib import Path

from datatoken.authorization.outages import as_refusals
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import MAX_REQUEST_BYTES, parse_request, run_id
from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.errors import DataTokenError, LocalEnvironmentError
from datatoken.passwords import read_password
from datatoken.roles.site import Site
from datatoken.service.assets.models import RunState
from datatoken.service.assets.parameters import read_parameters
from datatoken.service.delegations import read_delegation
from datatoken.types import Hex32, Scalar
from fl_edge.control.client import Ended, SuperLink
from fl_edge.control.outcome import RunEndedError, reason_in
from fl_edge.control.plan import Plan, make_plan
from fl_edge.fab import fab_defaults
from fl_edge.fab.keys import JOB_KEY, REQUEST_KEY
from fl_edge.service.folder import WORK, Outcome, RunFolder
from fl_edge.service.logged import Aggregate, wait_for_aggregate
from fl_edge.service.reading import LogReader, plain
from fl_edge.service.settings import LoadedService, load_service

REACH_SECONDS, STOP_SECONDS, END_SECONDS, LOGGED_SECONDS = 10.0, 10.0, 60.0, 20.0
POLL = 0.5
STOPPED = Outcome(RunState.STOPPED, Reason.PARTY_STOPPED, "The run was stopped.")
ENDED = "The SuperLink has ended the run; why in full is in the owner's log."
LOST = "The SuperLink does not answer, or does not know the run any more."


class Drive:
    """Drives one run.

    Parameters
    ----------
    loaded : LoadedService
    dt, job, request : Hex32
    folder : RunFolder
    """

    def __init__(
        self, loaded: LoadedService, dt: Hex32, job: Hex32, request: Hex32, folder: RunFolder
    ) -> None:
        self._loaded, self._dt, self._job, self._request = loaded, dt, job, request
        self._folder, self._reader = folder, LogReader()
        self._entry = loaded.asset(dt)
        self._stopping = threading.Event()
        self._stopper: threading.Thread

    def stop(self) -> None:
        """Have the run stopped; returns at once."""
        self._stopping.set()

    def run(self) -> Outcome:
        """Run it to its end and return how that was."""
        deployment = Deployment.load(self._loaded.at(self._loaded.file.deployment))
        with Site.open(deployment, self._loaded.store, self._folder.path / WORK) as site:
            plan = self._plan(site)
            with self._link() as link:
                try:
                    link.reach(REACH_SECONDS)
                except LocalEnvironmentError as error:
                    return Outcome(RunState.FAILED, Reason.ENGINE_MISSING, error.message)
                if self._stopping.is_set():
                    return STOPPED
                started = self._start(link, plan)
                outcome = self._follow(link, started)
            if outcome.state is RunState.FINISHED:
                self._results(site, plan, started)
            return outcome

    def _plan(self, site: Site) -> Plan:
        """Build what runs from the registered bundles, as the request asks for it."""
        with as_refusals():
            signed = parse_request(site.store.get(self._request, MAX_REQUEST_BYTES))
            plan = make_plan(site, self._job, read_parameters(site.store, signed))
        if plan.server != self._dt:
            raise Refused(Reason.NOT_IN_JOB, f"The server side is that of DT {plan.server[:10]}….")
        return plan

    def _link(self) -> SuperLink:
        named = self._entry.superlink
        certificates = named.root_certificates
        return SuperLink(
            named.address,
            insecure=named.insecure,
            root_certificates=self._loaded.at(certificates) if certificates else None,
        )

    def _start(self, link: SuperLink, plan: Plan) -> int:
        """Start it; only the SuperLink's gate can have refused it."""
        hints: dict[str, Scalar] = {JOB_KEY: self._job, REQUEST_KEY: self._request}
        try:
            started = link.start(plan.fab, {**_overrides(plan), **hints})
        except RunEndedError as error:
            reason = error.reason or Reason.RUN_NOT_ACCEPTED
            raise Refused(reason, plain(error.message)) from None
        self._stopper = threading.Thread(target=self._stop_run, args=(started,), daemon=True)
        self._stopper.start()
        self._folder.note("running", {"run": str(started)}, state=RunState.RUNNING.value)
        return started

    def _stop_run(self, run: int) -> None:
        """Wait for the order to stop, and stop the run: its log ends then, and all else."""
        self._stopping.wait()
        with self._link() as link:
            while True:  # until the log has ended, or the service kills this process
                try:
                    link.stop(run)
                except LocalEnvironmentError:
                    time.sleep(POLL)
                else:
                    return

    def _follow(self, link: SuperLink, run: int) -> Outcome:
        """Write the run's log and its events until it is over; return how it ended.

        What the app has said of its end stays in the owner's log.
        """
        try:
            for text in link.log(run):
                for line in text.splitlines():
                    self._line(plain(line))
            ended = _ended(link, run)
        except BaseException as error:
            self.stop()  # nobody would look after it any more
            self._stopper.join(STOP_SECONDS)
            if not isinstance(error, (RunEndedError, LocalEnvironmentError)):
                raise
            self._folder.log(plain(error.message))
            reason = error.reason if isinstance(error, RunEndedError) else None
            return Outcome(RunState.FAILED, reason or Reason.ENGINE_FAILED, LOST)
        if ended.completed:
            return Outcome(RunState.FINISHED)
        if ended.stopped:
            return STOPPED
        self._folder.log(plain(ended.details))
        return Outcome(RunState.FAILED, reason_in(ended.details) or Reason.APP_FAILED, ENDED)

    def _line(self, line: str) -> None:
        self._folder.log(line)
        for event, facts in self._reader.line(line):
            stage = {"stage": self._reader.round, "stages": self._reader.rounds}
            self._folder.note(event, facts, **stage)

    def _results(self, site: Site, plan: Plan, run: int) -> None:
        """Leave the measured numbers and the last logged aggregate's digest; no model."""
        rounds = self._reader.rounds
        self._folder.result("metrics.json", {"rounds": rounds, **self._reader.metrics})
        try:
            found = self._logged(site, plan, run, rounds) if rounds else None
        except DataTokenError as error:
            self._folder.log(f"The log of rounds can't be read: {plain(error.message)}")
            return
        if found is not None:
            self._folder.result("aggregate.json", found.model_dump(mode="json"))

    def _logged(self, site: Site, plan: Plan, run: int, rounds: int) -> Aggregate | None:
        end, node = time.monotonic() + LOGGED_SECONDS, self._loaded.file.node
        key, password = self._loaded.at(node.key), self._loaded.at(node.password_file)
        return wait_for_aggregate(
            site,
            plan,
            str(run),
            rounds,
            signer=Signer.from_keystore(
                key, read_password(password), stand_in=site.profile.stand_in
            ),
            delegation=read_delegation(self._loaded.at(self._entry.delegation)),
            path=self._folder.path / WORK / "log.sqlite",
            go_on=lambda: time.monotonic() < end and not self._stopping.is_set(),
        )


def _ended(link: SuperLink, run: int) -> Ended:
    """Return how a run whose log has ended has ended itself."""
    deadline = time.monotonic() + END_SECONDS
    while (ended := link.outcome(run)) is None:
        if time.monotonic() > deadline:
            raise RunEndedError("The log has ended, the run has not.", started=True)
        time.sleep(POLL)
    return ended


def _overrides(plan: Plan) -> dict[str, Scalar]:
    """Return what differs from the app's defaults; JSON carries 1.0 as 1, the app wants 1.0."""
    defaults = fab_defaults(plan.fab)
    return {
        name: float(value) if isinstance(defaults[name], float) else value
        for name, value in plan.parameters.items()
        if value != defaults[name] or type(value) is bool
    }


def main() -> None:
    """Drive the run that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m fl_edge.service.process")
    for name in ("config", "dt", "job", "request"):
        parser.add_argument(f"--{name}", required=True)
    named = parser.parse_args()
    try:
        loaded = load_service(Path(named.config))
        path = loaded.run_folder(named.dt, run_id(named.request))
        folder = RunFolder(path, job=named.job, request=named.request, dt=named.dt)
        drive = Drive(loaded, named.dt, named.job, named.request, folder)
    except DataTokenError as error:
        sys.exit(f"{error.code}: {error.diagnostics()}")
    signal.signal(signal.SIGTERM, lambda *_: drive.stop())
    try:
        outcome = drive.run()
    except Refused as refused:
        outcome = Outcome(RunState.REFUSED, refused.reason, refused.message)
    except DataTokenError as error:
        outcome = Outcome(RunState.FAILED, Reason.STATE_UNAVAILABLE, error.message)
    folder.end(outcome)


if __name__ == "__main__":
    main()
