"""The asset service of a composite's owner as a process, in front of a real gated SuperLink."""

import json
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatoken.authorization.request import ComputeRequest, SignedRequest
from datatoken.chain.events import JobAnnounced
from datatoken.chain.signer import Signer
from datatoken.ddo import Metadata, Service, Workflow
from datatoken.ddo.canonical import canonical_bytes
from datatoken.roles import AlgorithmProvider, AssetOwner, Institution
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Party, RunState
from datatoken.types import Hex32, Scalar, sha256_hex
from fl_edge.fab import effective_config
from tests.fl_edge.harness import BIN, QUIET, Process
from tests.fl_edge.superlink.world import PASSWORD, World, _salt
from tests.support.chain import Account, wait_until

SECRET = "a-secret-of-the-service"
SMALL: dict[str, Scalar] = {"layers": "3-1", "num-server-rounds": 1}
LONG: dict[str, Scalar] = {"layers": "3-1", "num-server-rounds": 500}


@dataclass
class OwnersService:
    """``fl-edge service`` of A for the world's composite."""

    world: World
    mode: str = "auto"
    announce: bool = True
    clients: list[AssetServiceClient] = field(default_factory=list)

    def __post_init__(self) -> None:
        world = self.world
        self.folder = world.folder / "service"
        self.folder.mkdir()
        (self.folder / "password").write_text(PASSWORD + "\n")
        node = Signer.random()
        node.save(self.folder / "node.json", PASSWORD, work=2)
        world.chain.a.signer.save(self.folder / "owner.json", PASSWORD, work=2)
        owner = world.role(AssetOwner, world.chain.a, "a")
        delegation = owner.delegate(world.composite, node.address, int(time.time()) + 3600)
        (self.folder / "delegation.json").write_bytes(canonical_bytes(delegation))
        self.log = self.folder / "service.log"

    def write(self) -> None:
        """Write the settings."""
        world = self.world
        (self.folder / "service.toml").write_text(
            'name = "A"\nport = 0\n'
            f'deployment = "{world.chain.deployment_path}"\nstore = "{world.store_path}"\n'
            '[node]\nkey = "node.json"\npassword_file = "password"\n'
            f'[policy]\nmode = "{self.mode}"\n'
            '[owner]\nkey = "owner.json"\npassword_file = "password"\n'
            f"announce = {str(self.announce).lower()}\n"
            f'[[assets]]\ndt = "{world.composite}"\ndelegation = "delegation.json"\n'
            f'superlink = {{ address = "{world.federation.address}", insecure = true }}\n'
        )

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.write()
        self.process = subprocess.Popen(
            [str(BIN / "fl-edge"), "service", "--format", "json", "--config", "service.toml"],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            text=True,
            cwd=self.folder,
            env={
                **os.environ,
                **QUIET,
                "DATATOKEN_PASSWORD": SECRET,
                "SECRET_OF_THE_SERVICE": SECRET,
            },
        )
        assert self.process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = self.process.stdout.readline()
            assert line, f"{text}\n{self.log.read_text()}"
            text += line
        said = json.loads(text)
        self.url, self.account = said["url"], said["service"]
        self.certificate = Path(said["certificate"])

    def kill(self) -> None:
        """Kill it: it has no moment to say or to do anything."""
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> None:
        """End it as an operator does."""
        for client in self.clients:
            client.close()
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(30)

    def client(self, who: Account | Signer) -> AssetServiceClient:
        """Return the client of an account."""
        signer = who if isinstance(who, Signer) else who.signer
        made = AssetServiceClient(self.url, signer, certificates=self.certificate)
        self.clients.append(made)
        return made

    def b(self) -> AssetServiceClient:
        """Return the requester's client."""
        return self.client(self.world.chain.b)

    def a(self) -> AssetServiceClient:
        """Return the owner's client."""
        return self.client(self.world.chain.a)

    # Requests

    def algorithm(self) -> Hex32:
        """Publish another algorithm of B over the composite, not granted yet."""
        provider = self.world.role(AlgorithmProvider, self.world.chain.b, "b")
        service = Service(
            type="algorithm",
            endpoint="https://b.example",
            child_dts=[self.world.composite],
            workflows=[Workflow(set_ops=[{"0": "self"}])],
        )
        return str(provider.publish(Metadata(services=[service]), salt=_salt()).dt)

    def post(self, algorithm: Hex32 | None = None) -> Hex32:
        """Post a job; by default of the algorithm that is granted."""
        b = self.world.role(Institution, self.world.chain.b, "b")
        return str(b.post_job(b.create_task(f"task {_salt()}"), algorithm or self.world.algorithm))

    def request(self, job: Hex32, overrides: dict[str, Scalar], **other: Any) -> SignedRequest:
        """Sign a compute request as B and put all of it into the store; nobody announces it."""
        config = effective_config(self.world.fab, overrides)
        return self.signed(job, config, self.world.chain.b.signer, **other)

    def signed(
        self, job: Hex32, config: dict[str, Scalar], signer: Signer, **other: Any
    ) -> SignedRequest:
        """Sign a compute request with any key and any content."""
        world = self.world
        network = world.chain.network
        plain = {
            "chain_id": network.chain_id,
            "market": network.market,
            "job": job,
            "operation": sha256_hex(world.fab),
            "parameters": world.store.put(canonical_bytes(dict(config))),
            "audience": world.composite,
            "nonce": int.from_bytes(os.urandom(6), "big"),
            "deadline": int(time.time()) + 3600,
            **other,
        }
        request = ComputeRequest(**plain)
        signature = signer.sign_full(request.typed_data())
        signed = SignedRequest(request=request, signature=signature)
        world.store.put(canonical_bytes(signed))
        return signed

    def announced(self, job: Hex32) -> list[Hex32]:
        """Return every announcement that the chain has ever seen of a job."""
        events = self.world.site("reader").events
        found = events.history(JobAnnounced, job=job, composite=self.world.composite)
        return [event.request for event in found if isinstance(event, JobAnnounced)]

    # Runs

    def run_folder(self, run: str) -> Path:
        """Return where a run's process leaves its words."""
        return self.folder / "service" / "engine" / self.world.composite[2:18] / run

    def pid(self, run: str) -> int:
        """Return the number of a run's process."""
        path = self.folder / "service" / "runs" / run / self.world.composite[2:18] / "pid"
        return int(path.read_text())

    def party(self, run: str) -> Party:
        """Return how a run stands, as the requester sees it."""
        [found] = self.b().job(run).parties
        return found

    def wait(self, run: str, *states: RunState, stage: int = 0, seconds: float = 120) -> Party:
        """Wait for a state and a round."""
        client = self.b()

        def there() -> bool:
            time.sleep(0.2)
            found = client.job(run).parties[0]
            assert found.state in states or not found.state.final, self.report(run)
            over = not found.state.final or found.ended > 0  # its process has gone, too
            return found.state in states and found.stage >= stage and over

        wait_until(there, seconds)
        return self.party(run)

    def report(self, run: str) -> str:
        """Return what everybody says, for a failing test."""
        folder = self.run_folder(run)
        parts = [self.log.read_text()[-1500:], self.world.superlink.output[-1500:]]
        parts += [
            (folder / name).read_text()[-1500:]
            for name in ("status.json", "engine.log")
            if (folder / name).exists()
        ]
        output = folder.parents[2] / "runs" / run / self.world.composite[2:18] / "party.log"
        parts += [output.read_text()[-1500:]] if output.exists() else []
        return "\n---\n".join(parts)

    def nothing_left(self) -> None:
        """Assert that no process of any run is there."""
        wait_until(lambda: not self.living(), 30)

    def living(self) -> list[int]:
        """Return the processes of runs."""
        pids = [int(path.read_text()) for path in (self.folder / "service/runs").glob("*/*/pid")]
        return [pid for pid in pids if _runs(pid, self.folder)]

    def close(self) -> None:
        """End everything that was started."""
        self.stop()
        for pid in self.living():
            os.kill(pid, signal.SIGKILL)


def _runs(pid: int, folder: Path) -> bool:
    """Tell whether a number is still that of a process in this folder, and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        return state != "Z" and str(folder) in str(Path(f"/proc/{pid}/cwd").readlink())
    except OSError:
        return False


def environment_of(pid: int) -> dict[str, str]:
    """Return the environment that a process was started with."""
    content = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(line.partition("=")[::2] for line in content.split("\0") if line)


def flwr_runs(superlink: Process) -> int:
    """Return how many runs the SuperLink has admitted."""
    return superlink.output.count("run admitted")
