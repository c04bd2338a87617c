"""An asset service as its own process, with a small real executor, and a job to ask for.

python -m tests.support.asset_service settings.json
"""

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatoken import strict_json
from datatoken.authorization.gate import Gatekeeper
from datatoken.authorization.request import SignedRequest, mpc_artefact
from datatoken.chain.deployment import Deployment
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.roles import AlgorithmProvider, AssetOwner
from datatoken.roles.owner import sign_delegation
from datatoken.rounds.receipts import Delegation
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.executor import Question, Run, Status
from datatoken.service.assets.models import PolicyMode, RunState
from datatoken.service.assets.policy import Policy
from datatoken.service.assets.server import AssetSettings, ServiceSettings, serve
from datatoken.service.tls import FrontLimits
from datatoken.store import open_store
from datatoken.types import Hex32, MessageKind
from tests.support.chain import wait_until
from tests.support.world import World, composed, leaf

PROGRAM = Path(__file__).with_name("service_program.py")
ROOT = Path(__file__).resolve().parents[2]
YEAR = 365 * 86_400


class ProgramExecutor:
    """Runs `service_program.py`; the run's parameter ``mode`` says how it behaves."""

    engine = "program"

    def __init__(self, state: Path, store: str) -> None:
        self._state, self._store = state, open_store(store)

    def isolation(self) -> Sequence[str]:
        return ["none: <b>a test program</b>"]

    def _parameters(self, request: Hex32) -> dict[str, Any]:
        signed = SignedRequest.model_validate_json(self._store.get(request))
        found = strict_json.loads(self._store.get(signed.request.parameters))
        assert isinstance(found, dict)
        return found

    def question(self, gatekeeper: Gatekeeper, run: Run, signed: SignedRequest) -> Question:
        [work] = gatekeeper.work(run.job)
        requester = signed.signer()
        assert requester is not None
        return Question(
            bundle=work.document.bundle,
            artefact=mpc_artefact([work.document.bundle]),
            kind=MessageKind.TRAIN,
            parameters=self._parameters(run.request),
            readers=frozenset({requester}),
        )

    def command(self, run: Run) -> Sequence[str]:
        mode = self._parameters(run.request)["mode"]
        return [sys.executable, str(PROGRAM), str(self.folder(run)), str(mode)]

    def environment(self, run: Run) -> Mapping[str, str]:
        return {"PATH": os.environ["PATH"]}

    def folder(self, run: Run) -> Path:
        return self._state / run.asset[2:10] / run.id

    def status(self, run: Run) -> Status | None:
        try:
            plain = json.loads((self.folder(run) / "status.json").read_text())
        except OSError:
            return None
        return Status(**{**plain, "state": RunState(plain["state"])})


@dataclass
class Bank:
    """A user's data, B's algorithm over it, and the settings of the service that serves it."""

    world: World
    folder: Path
    terms: dict[str, Any] = field(default_factory=dict)
    purpose: str | None = "research"

    def __post_init__(self) -> None:
        world = self.world
        self.operation = world.operation(
            "mpc",
            entry_points={"local": "op:run"},
            messages=["train"],
            parameters={
                "epochs": {"type": "int", "minimum": 1, "maximum": 10, "default": 2},
                "mode": {"type": "str", "default": "steady"},
            },
        )
        self.owner = world.user(0)
        self.provider = world.role(AlgorithmProvider, world.chain.b)
        self.data = self.owner.publish(leaf(self.operation, name="Bank <A>", **self.terms)).dt
        self.algorithm = self.compose()
        self.node = Signer.random()
        self.state = self.folder / "state"

    def compose(self, purpose: str | None = None, **fields: Any) -> Hex32:
        """Publish another algorithm over the data."""
        stage = {"0": self.operation}
        metadata = composed(
            [self.data], [stage], type="algorithm", purpose=purpose or self.purpose, **fields
        )
        return self.provider.publish(metadata).dt

    def grant(self) -> None:
        self.owner.grant(self.data, self.algorithm)

    def post(self) -> Hex32:
        """Grant and post a job."""
        self.grant()
        guarantor = self.world.b
        return guarantor.post_job(guarantor.create_task(secrets.token_hex(8)), self.algorithm)

    def request(self, job: Hex32, **parameters: Any) -> Hex32:
        """Sign a compute request and return its digest."""
        plain = {"epochs": 2, "mode": "steady", **parameters}
        site = self.provider.site
        site.store.put(canonical_bytes(plain))
        bundle = site.documents.operation(self.operation).document.bundle
        signed = self.provider.sign_request(job, mpc_artefact([bundle]), plain)
        return signed.digest()

    def delegation(self) -> Delegation:
        site = self.owner.site
        return sign_delegation(
            site, self.owner.signer, self.data, self.node.address, site.now() + YEAR
        )

    def finish(self, run: str) -> None:
        """Let a steady run come to its end."""
        folder = self.run_folder(run).parent
        folder.mkdir(parents=True, exist_ok=True)  # its party may not have come so far
        (folder / f"{run}.finish").touch()

    def run_folder(self, run: str) -> Path:
        return self.folder / "parties" / self.data[2:10] / run


class Serving:
    """The service of a bank in a process of its own."""

    def __init__(self, bank: Bank, **options: Any) -> None:
        self.bank, self.options = bank, options
        bank.folder.mkdir(parents=True, exist_ok=True)
        self.settings = bank.folder / "settings.json"
        self.log = bank.folder / "service.log"
        self.start()

    def start(self, **changed: Any) -> None:
        """Start it (again), by default with the options that it was made with."""
        self.options |= changed
        plain = {
            "deployment": str(self.bank.world.chain.deployment_path),
            "store": str(self.bank.world.store_folder),
            "folder": str(self.bank.folder),
            "node": self.bank.node._account.key.hex(),
            "owner": self.bank.owner.signer._account.key.hex(),
            "dt": self.bank.data,
            "delegation": self.bank.delegation().model_dump(mode="json"),
            "mode": "auto",
            **self.options,
        }
        self.settings.write_text(json.dumps(plain))
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.asset_service", str(self.settings)],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            text=True,
            cwd=ROOT,
            env={**os.environ, "SECRET_OF_THE_SERVICE": "hunter2"},
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError(f"the service ended: {self.log.read_text()}")
        said = json.loads(line)
        self.url, self.account = said["url"], said["service"]
        self.certificate = Path(said["certificate"]) if said["certificate"] else None

    def client(self, who: Signer | AssetOwner, **options: Any) -> AssetServiceClient:
        signer = who if isinstance(who, Signer) else who.signer
        return AssetServiceClient(self.url, signer, certificates=self.certificate, **options)

    def requester(self) -> AssetServiceClient:
        """Return the algorithm's owner as a client."""
        return self.client(self.bank.provider)

    def kill(self) -> None:
        """Kill it, as a power cut of this one process would."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(20)

    def state(self, run: str) -> RunState:
        return self.requester().job(run).parties[0].state

    def wait_state(self, run: str, *states: RunState) -> None:
        """Wait for a state, asking no more often than the service allows."""
        client = self.requester()

        def there() -> bool:
            time.sleep(0.1)
            found = client.job(run).parties[0]
            assert found.state in states or not found.state.final, found
            return found.state in states

        wait_until(there, 60)


def main() -> None:
    plain = json.loads(Path(sys.argv[1]).read_text())
    folder = Path(plain["folder"])
    limits = plain.get("limits")
    owner = plain["owner"] if plain.get("hold_key", True) else None
    settings = ServiceSettings(
        name="Bank A, <private> domain",
        domain="private",
        deployment=Deployment.load(Path(plain["deployment"])),
        store=plain["store"],
        state=folder / "state",
        signer=Signer.from_key(plain["node"]),
        assets=[
            AssetSettings(
                plain["dt"],
                Delegation.model_validate_json(json.dumps(plain["delegation"])),
                Policy(PolicyMode(plain["mode"]), **plain.get("policy", {})),
            )
        ],
        owner=Signer.from_key(owner) if owner else None,
        port=plain.get("port", 0),
        insecure=plain.get("insecure", False),
        limits=FrontLimits(**limits) if limits else FrontLimits(),
    )

    def ready(said: Any) -> None:
        words = {"url": said.url, "service": said.service, "certificate": said.certificate}
        print(json.dumps(words), flush=True)

    with contextlib.suppress(KeyboardInterrupt):
        serve(settings, ProgramExecutor(folder / "parties", plain["store"]), ready)


if __name__ == "__main__":
    main()
