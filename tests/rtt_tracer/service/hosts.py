"""Two banks' asset services as processes: private and federated domain, real parties, real SPU."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from datatoken.chain.signer import Signer
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.assets.models import Party, RunState
from datatoken.types import Hex32, Scalar
from tests.rtt_tracer.party.conftest import PARAMETERS, ROWS, write_tables
from tests.rtt_tracer.processes import Asset, below
from tests.rtt_tracer.world import ROOT, PartyWorld
from tests.support.chain import Account, Chain, wait_until
from tests.support.recorder import PASSWORD

PROGRAM = "from rtt_tracer.cli.app import main; main()"
SECRET = "a-secret-of-the-service"
CHEETAH: dict[str, Scalar] = {**PARAMETERS, "protocol": "CHEETAH", "batch_size": 640}
LONG = 150
"""Epochs that outlast every test."""


@dataclass
class Host:
    """The service of one asset, started by ``rtt-tracer service``."""

    world: PartyWorld
    asset: Asset
    domain: Literal["private", "federated"]
    mode: str = "auto"
    environment: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder = self.asset.folder
        self.asset.owner.signer.save(self.folder / "owner.json", PASSWORD, work=2**4)
        (self.folder / "service.toml").write_text(
            f'name = "{self.asset.name}"\ndomain = "{self.domain}"\nport = 0\n'
            f'[policy]\nmode = "{self.mode}"\n'
            '[owner]\nkey = "owner.json"\npassword_file = "password"\n'
            '[[assets]]\nparty = "party.toml"\n'
        )
        self.log = self.folder / "service.log"
        self.process: subprocess.Popen[str] | None = None
        self.url = self.service = ""
        self._clients: dict[tuple[str, str], AssetServiceClient] = {}
        self.certificate = Path()

    def launch(self) -> None:
        """Start the process; `ready` waits for it."""
        command = [sys.executable, "-c", PROGRAM, "service", "--format", "json"]
        self.process = subprocess.Popen(
            [*command, "--config", str(self.folder / "service.toml")],
            stdout=subprocess.PIPE,
            stderr=self.log.open("ab"),
            text=True,
            cwd=self.folder,
            env={
                **os.environ,
                "PYTHONPATH": str(ROOT),
                "DATATOKEN_PASSWORD": SECRET,
                "SECRET_OF_THE_SERVICE": SECRET,
                **self.environment,
            },
        )

    def ready(self) -> None:
        """Wait until it listens."""
        assert self.process is not None and self.process.stdout is not None
        text = ""
        while not text.endswith("\n}\n"):
            line = self.process.stdout.readline()
            assert line, f"{text}\n{self.log.read_text()}"
            text += line
        said = json.loads(text)
        self.url, self.service = said["url"], said["service"]
        self.certificate = Path(said["certificate"])

    def start(self) -> None:
        """Start it and wait until it listens."""
        self.launch()
        self.ready()

    def kill(self) -> None:
        """Kill it: it has no moment to say or to do anything."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)

    def stop(self) -> int:
        """End it as an operator does; parties go on."""
        for client in self._clients.values():
            client.close()
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        return self.process.wait(30)

    def client(self, who: Account | Signer) -> AssetServiceClient:
        """Return the client of an account."""
        signer = who if isinstance(who, Signer) else who.signer
        key = self.url, signer.address
        if key not in self._clients:
            self._clients[key] = AssetServiceClient(self.url, signer, certificates=self.certificate)
        return self._clients[key]

    def owner(self) -> AssetServiceClient:
        """Return the asset's owner as a client."""
        return self.client(self.asset.owner)

    def requester(self) -> AssetServiceClient:
        """Return the fintech as a client."""
        return self.client(self.world.c)

    def run_folder(self, run: str) -> Path:
        """Return where the party of a run leaves its words."""
        return self.asset.run_folder(run)

    def pid(self, run: str) -> int:
        """Return the number of a run's party."""
        path = self.folder / "service" / "runs" / run / self.asset.dt[2:18] / "pid"
        return int(path.read_text())

    def kill_party(self, run: str) -> None:
        """Kill the party's whole group, as a machine that loses power would."""
        os.killpg(self.pid(run), signal.SIGKILL)

    def party(self, run: str) -> Party:
        """Return how the run stands, as the requester sees it."""
        [found] = self.requester().job(run).parties
        return found

    def report(self, run: str) -> str:
        """Return what the service and its party say, for a failing test."""
        folder = self.run_folder(run)
        parts = [f"--- {self.asset.name}\n{self.log.read_text(errors='replace')[-1500:]}"]
        for name in ("status.json", "engine.log"):
            if (folder / name).exists():
                parts.append((folder / name).read_text(errors="replace")[-1500:])
        return "\n".join(parts)


@dataclass
class Banks:
    """Four DTs of two banks, each with a service: Cheetah needs no third party."""

    world: PartyWorld
    hosts: list[Host]

    @classmethod
    def make(cls, chain: Chain, folder: Path, rows: int = ROWS, **environment: str) -> "Banks":
        """Publish everything and start all services."""
        folder.mkdir(parents=True, exist_ok=True)
        world = PartyWorld(chain, folder)
        world.deadlines |= {"peers": 90}
        share, train = world.shipped("secret_sharing"), world.shipped("logistic_regression")
        a, b = write_tables(folder, rows)
        purpose: dict[str, Any] = {"purposes": ["credit scoring"]}
        limit: dict[str, Any] = {"parameters": {"epochs": {"maximum": LONG}}}
        hosts = [
            Host(world, world.data(world.a, share, str(a), name="a-data", **purpose), "private"),
            Host(world, world.data(world.b, share, str(b), name="b-data"), "private", "queue"),
            Host(world, world.compute(world.a, train, name="a-compute", **limit), "federated"),
            Host(world, world.compute(world.b, train, name="b-compute"), "federated"),
        ]
        for host in hosts:
            host.environment = environment
        made = cls(world, hosts)
        try:
            made.start()
        except BaseException:
            made.close()
            raise
        return made

    def start(self) -> None:
        """Start the services that are not running."""
        resting = [
            host for host in self.hosts if host.process is None or host.process.poll() is not None
        ]
        for host in resting:
            host.launch()
        for host in resting:
            host.ready()

    @property
    def assets(self) -> list[Asset]:
        """The four DTs, in the order of the algorithm's children."""
        return [host.asset for host in self.hosts]

    def ask(self, **given: Scalar) -> tuple[Hex32, Hex32, Hex32]:
        """Grant, post and sign; return (algorithm, job, request)."""
        job, algorithm = self.world.job(self.assets)
        signed, _ = self.world.request(job, **{**CHEETAH, **given})
        return algorithm, job, signed.digest()

    def begin(self, job: Hex32, request: Hex32) -> str:
        """Send the request to all services; return the run."""
        runs = {host.requester().start(job, request).id for host in self.hosts}
        [run] = runs
        return run

    def wait(self, run: str, condition: Callable[[Party], bool], seconds: float = 150.0) -> None:
        """Wait until a condition holds at all services."""
        end = time.monotonic() + seconds
        waiting = list(self.hosts)
        while waiting:
            waiting = [host for host in waiting if not condition(host.party(run))]
            if time.monotonic() > end:
                raise AssertionError("\n".join(host.report(run) for host in self.hosts))
            time.sleep(0.3)

    def in_the_middle(self, run: str) -> None:
        """Wait until all parties compute, and the first epoch is behind them."""

        def there(party: Party) -> bool:
            assert not party.state.final, "\n".join(host.report(run) for host in self.hosts)
            return party.state is RunState.RUNNING and party.stage >= 2

        self.wait(run, there)

    def ended(self, run: str, but: Sequence[Host] = ()) -> dict[str, tuple[str, str]]:
        """Wait until all have ended; return (state, reason) by name."""
        self.wait(run, lambda party: party.state.final)
        found = {}
        for host in self.hosts:
            party = host.party(run)
            assert party.state is RunState.FINISHED or party.reason, host.report(run)
            if host not in but:
                found[host.asset.name] = (party.state.value, party.reason)
        return found

    def nothing_left(self) -> None:
        """Assert that no process of any party is there."""
        wait_until(lambda: not self.started(), 30)

    def started(self) -> list[int]:
        """Return the processes that services have started and that still run."""
        found = []
        for host in self.hosts:
            for path in (host.folder / "service" / "runs").glob("*/*/pid"):
                pid = int(path.read_text())
                found += [one for one in [pid, *below(pid)] if _runs(one, host.folder)]
        return found

    def close(self) -> None:
        """End everything that was started."""
        for host in self.hosts:
            if host.process is not None:
                host.stop()
        for pid in self.started():
            os.kill(pid, signal.SIGKILL)
        self.world.close()


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


def status_of(host: Host, run: str) -> dict[str, Any]:
    """Return what the party has written last."""
    return dict(json.loads((host.run_folder(run) / "status.json").read_text()))
