"""Starts one ``rtt-tracer party`` for each asset and run, and reads what it leaves."""

import os
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.reasons import Reason, Refused
from datatoken.authorization.request import SignedRequest
from datatoken.errors import LocalEnvironmentError
from datatoken.service.assets.executor import Question, Run, Status
from datatoken.service.assets.models import Domain
from datatoken.service.assets.parameters import read_parameters
from datatoken.service.assets.processes import ENVIRONMENT
from datatoken.service.assets.words import read_status
from datatoken.store import VerifyingStore
from rtt_tracer.agreement.plan import Participant, Plan, make_plan
from rtt_tracer.engines.base import Launch, Role
from rtt_tracer.party.engines import engine_of
from rtt_tracer.party.exchange import released
from rtt_tracer.sandbox import EngineProcess, Limits
from rtt_tracer.service.settings import Hosted

PASSED_ON = (*ENVIRONMENT, "DATATOKEN_KEEP_WORK")
"""All that a party sees of the service's environment: its keys are in files."""
_PARTY = "from rtt_tracer.cli.app import main; main()"


class PartyExecutor:
    """The executor of MPC parties (`datatoken.service.assets.executor.Executor`).

    Parameters
    ----------
    hosted : sequence of Hosted
        The assets with their parties' settings.
    domain : {"private", "federated"}
        In the federated domain no operation that reads rows is started.
    store : VerifyingStore
        Where run configurations are.
    """

    engine = "rtt-tracer"

    def __init__(self, hosted: Sequence[Hosted], domain: Domain, store: VerifyingStore) -> None:
        self._hosted = {one.party.dt: one for one in hosted}
        self._domain, self._store = domain, store
        self._installed: dict[Role, Mapping[str, str]] = {}
        self._lock = threading.Lock()

    def isolation(self) -> Sequence[str]:
        """Start nothing in a sandbox and return what was in force around it."""
        launch = Launch((sys.executable, "-I", "-c", "pass"), {})
        try:
            with tempfile.TemporaryDirectory(prefix="datatoken-") as name:
                folder = Path(name) / "work"
                folder.mkdir()
                with EngineProcess.start(launch, folder, Limits(), Path(name) / "log") as process:
                    return [str(finding) for finding in process.report.findings]
        except (LocalEnvironmentError, OSError) as error:
            return [f"sandbox: ABSENT ({error})"]

    def question(self, gatekeeper: Gatekeeper, run: Run, signed: SignedRequest) -> Question:
        """Derive what the gate is asked from verified documents and the request.

        Raises
        ------
        Refused
            NOT_IN_JOB, ENGINE_MISSING, OPERATION_UNSUPPORTED, …: nothing to ask.
        """
        parameters = read_parameters(self._store, signed)
        plan = make_plan(
            gatekeeper.tree(run.job),
            gatekeeper.documents(run.job),
            gatekeeper.records(run.job),
            signed,
            parameters,
        )
        me = plan.of(run.asset)
        self._check_domain(me)
        return Question(
            bundle=me.bundle,
            artefact=plan.artefact,
            kind=plan.kind,
            parameters=parameters,
            installed=self._installed_for(me),
            readers=frozenset(self._readers(plan, me)),
        )

    def _check_domain(self, me: Participant) -> None:
        if me.input is None:
            return
        if self._domain == "federated":
            raise Refused(
                Reason.OPERATION_UNSUPPORTED,
                f"The operation of DT {me.dt[:10]}… reads rows, and this service is one of the "
                "federated domain.",
            )
        if self._hosted[me.dt].party.table is None:
            raise Refused(
                Reason.OPERATION_UNSUPPORTED,
                f"The operation of DT {me.dt[:10]}… reads rows, and this service has got no table "
                "for it.",
            )

    def _installed_for(self, me: Participant) -> Mapping[str, str]:
        engine = engine_of(me.role, self._hosted[me.dt].party.engines)
        with self._lock:
            if me.role not in self._installed:
                self._installed[me.role] = engine.installed()
            return self._installed[me.role]

    @staticmethod
    def _readers(plan: Plan, me: Participant) -> list[str]:
        """Return who may fetch what this party leaves: its owner, and whom the job names."""
        return [me.owner, plan.requester] if released(plan, me) else [me.owner]

    def command(self, run: Run) -> Sequence[str]:
        """Return the command line of the party."""
        config = self._hosted[run.asset].path
        return [
            sys.executable, "-P", "-c", _PARTY, "party", "--config", str(config),
            "--job", run.job, "--request", run.request,
        ]  # fmt: skip

    def environment(self, run: Run) -> Mapping[str, str]:
        """Return the party's whole environment."""
        return {name: os.environ[name] for name in PASSED_ON if name in os.environ}

    def folder(self, run: Run) -> Path:
        """Return the run's folder in the party's state."""
        hosted = self._hosted.get(run.asset)
        # An asset that this service has given up: its folder is nobody's any more.
        state = Path(hosted.party.state) if hosted is not None else Path(os.devnull)
        return state / "runs" / run.id

    def status(self, run: Run) -> Status | None:
        """Return what ``status.json`` says."""
        return read_status(self.folder(run))
