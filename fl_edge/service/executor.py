"""Starts one process for each run: it drives the run at the owner's own SuperLink."""

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.roles.site import Site
from datatoken.service.assets.executor import Question, Run, Status
from datatoken.service.assets.parameters import read_parameters
from datatoken.service.assets.processes import ENVIRONMENT
from datatoken.service.assets.words import read_status
from datatoken.types import MessageKind
from fl_edge.control.plan import make_plan
from fl_edge.fab.installed import installed_versions
from fl_edge.service.settings import LoadedService

CONNECT_SECONDS = 3.0
QUIET = {"FLWR_TELEMETRY_ENABLED": "0", "FLWR_DISABLE_UPDATE_CHECK": "1"}


class FlowerExecutor:
    """The executor of Flower runs (`datatoken.service.assets.executor.Executor`).

    What runs, runs at the SuperLink: its gate admits the run and lets every round go out. So
    the process that is started here holds no key of the owner and decides nothing.

    Parameters
    ----------
    loaded : LoadedService
    site : Site
        Chain and store, for plans; nothing is sent from it.
    """

    engine = "fl-edge"

    def __init__(self, loaded: LoadedService, site: Site) -> None:
        self._loaded, self._site = loaded, site

    def isolation(self) -> Sequence[str]:
        """Return what stands around a run, and what does not."""
        return [
            "gate: every run and every round is authorised at the SuperLink, from the chain",
            "no rows: members' data stay with their own SuperNodes and gates",
            "sandbox: ABSENT (the app's server side runs beside the owner's SuperLink)",
        ]

    def question(self, gatekeeper: Gatekeeper, run: Run, signed: SignedRequest) -> Question:
        """Build what the job runs from the registered bundles, and derive what the gate is asked.

        Raises
        ------
        Refused
            NOT_IN_JOB, PARAMETERS_OUTSIDE_TERMS, ENGINE_MISSING, …: nothing to ask.
        """
        parameters = read_parameters(self._site.store, signed)
        plan = make_plan(self._site, run.job, parameters)
        if plan.server != run.asset:
            raise Refused(
                Reason.NOT_IN_JOB,
                f"The server side of job {run.job[:10]}… is that of DT {plan.server[:10]}…, not "
                f"of {run.asset[:10]}….",
            )
        self._check_reachable(run)
        kinds = plan.document.messages
        records = gatekeeper.records(run.job)
        return Question(
            bundle=plan.document.bundle,
            artefact=plan.artefact,
            kind=kinds[0] if kinds else MessageKind.TRAIN,
            parameters=plan.parameters,
            installed=installed_versions(gatekeeper.documents(run.job).values()),
            readers=frozenset({records[run.asset].owner, records[plan.algorithm].owner}),
            announce=plan.composite,
        )

    def _check_reachable(self, run: Run) -> None:
        """Refuse before anything is announced and the request is spent."""
        address = self._loaded.asset(run.asset).superlink.address
        host, _, port = address.rpartition(":")
        try:
            socket.create_connection((host, int(port)), CONNECT_SECONDS).close()
        except (OSError, OverflowError):
            raise Refused(
                Reason.ENGINE_MISSING, f"The SuperLink of DT {run.asset[:10]}… does not answer."
            ) from None

    def command(self, run: Run) -> Sequence[str]:
        """Return the command line of the run's process."""
        return [
            sys.executable, "-P", "-m", "fl_edge.service.process",
            "--config", str(self._loaded.path), "--dt", run.asset,
            "--job", run.job, "--request", run.request,
        ]  # fmt: skip

    def environment(self, run: Run) -> Mapping[str, str]:
        """Return the whole environment of the run's process."""
        passed = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        return {**passed, **QUIET, "FLWR_HOME": str(self.folder(run) / "flwr")}

    def folder(self, run: Run) -> Path:
        """Return the run's folder in the service's state."""
        return self._loaded.run_folder(run.asset, run.id)

    def status(self, run: Run) -> Status | None:
        """Return what ``status.json`` says."""
        return read_status(self.folder(run))
