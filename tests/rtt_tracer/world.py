"""A world for MPC tests: institutions, operations, DTs, grants, a job, a recorder, parties.

Everything is real: anvil, the folder store, the recorder's process, party processes. A test
publishes what it needs, asks for a run, starts the parties and reads their folders.
"""

import itertools
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datatoken.authorization.request import SignedRequest
from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import canonical_bytes
from datatoken.ports import free_port
from datatoken.roles import (
    AlgorithmProvider,
    AssetOwner,
    ComputeProvider,
    DataProvider,
    Institution,
    complete_document,
)
from datatoken.rounds.documents import RoundDocument
from datatoken.service.client import RecorderClient
from datatoken.types import Hex32, Scalar
from rtt_tracer import operations as shipped
from rtt_tracer.bundle import bundle_folder, bundle_function
from rtt_tracer.document import function_source, read_source, source_fields
from rtt_tracer.engines.base import Role
from rtt_tracer.requester import Wish, make_wish, sign_wish
from tests.rtt_tracer.processes import Asset, PartyProcess, left_behind
from tests.support.chain import Account, Chain
from tests.support.receipts import FAR, delegate
from tests.support.recorder import PASSWORD, Running
from tests.support.world import World, composed, leaf

ROOT = Path(__file__).parents[2]
SPU = ROOT / ".engines" / "spu" / "bin" / "python"
ROSETTA = ROOT / ".engines" / "rosetta" / "bin" / "python"
SHIPPED = Path(shipped.__file__).parent
_numbers = itertools.count(1)
_installed: dict[str, Mapping[str, str]] = {}


def installed(engine: str = "spu") -> Mapping[str, str]:
    """What an engine has installed, read once."""
    if engine not in _installed:
        from rtt_tracer.engines.rosetta import RosettaEngine
        from rtt_tracer.engines.spu import SpuEngine

        here = RosettaEngine(ROSETTA) if engine == "rosetta" else SpuEngine(SPU)
        _installed[engine] = here.installed()
    return _installed[engine]


@dataclass
class _Reporting:
    """What `Running` needs of a job: the recorder's account, chain and store."""

    chain: Chain
    store_path: Path
    recorder: Account


@dataclass
class PartyWorld:
    """Banks A and B, a third compute provider, a fintech; each an institution of its own."""

    chain: Chain
    folder: Path
    world: World = field(init=False)
    assets: dict[Hex32, Asset] = field(default_factory=dict)
    processes: list[PartyProcess] = field(default_factory=list)
    deadlines: dict[str, float] = field(
        default_factory=lambda: {"peers": 60, "start": 120, "progress": 60, "stage": 90}
    )

    def __post_init__(self) -> None:
        self.world = World(self.chain, self.folder)
        names = ("Bank A", "Bank B", "Third", "Fintech")
        self.a, self.b, self.d, self.c = (self._institution(name) for name in names)
        self.recorder_account = self.chain.account()
        self.port = free_port()
        self.world.store_folder.mkdir(parents=True, exist_ok=True)
        self.restart_recorder()

    def restart_recorder(self) -> None:
        """Start the recorder, on the port and with the state that it had."""
        reporting = _Reporting(self.chain, self.world.store_folder, self.recorder_account)
        self.recorder = Running(reporting, self.folder / "recorder", port=self.port)  # type: ignore[arg-type]

    def _institution(self, name: str) -> Account:
        made = self.chain.account()
        self.chain.admin.send(
            self.chain.contracts.institutions.add_institution(
                made.address, f"{name} {next(_numbers)}"
            )
        )
        return made

    # Documents

    def register(self, folder: Path, **fields: Any) -> Hex32:
        """Register the operation in a folder."""
        source = read_source(folder)
        engine = "rosetta" if source.role is Role.ROSETTA else "spu"
        own = source_fields(source, installed(engine))
        return self._register(bundle_folder(folder), own | fields)

    def shipped(self, name: str) -> Hex32:
        """Register a shipped operation by its folder's name."""
        return self.register(SHIPPED / name)

    def function(self, path: Path, function: str) -> Hex32:
        """Register a JAX function of a user's file."""
        fields = source_fields(function_source(path, function), installed())
        return self._register(bundle_function(path, function), fields)

    def script(self, path: Path) -> Hex32:
        """Register a user's Rosetta script."""
        from rtt_tracer.engines.rosetta.source import bundle_script, script_source

        fields = source_fields(script_source(path), installed("rosetta"))
        return self._register(bundle_script(path), fields)

    def _register(self, bundle: bytes, fields: Mapping[str, Any]) -> Hex32:
        administrator = self.world.administrator
        document = complete_document(bundle, administrator.address, fields)
        return administrator.register_operation(bundle, document)

    def data(
        self,
        owner: Account,
        operation: Hex32,
        source: str,
        *,
        key: str = "ID",
        name: str = "data",
        schema: Mapping[str, Any] | None = None,
        **terms: Any,
    ) -> Asset:
        """Publish a data DT and write the settings of its party."""
        metadata = leaf(operation, name=name, **terms)
        if schema is not None:
            plain = json.loads(metadata.model_dump_json(exclude_none=True))
            plain["services"][0]["extra_params"]["table_schema"] = schema
            metadata = type(metadata).model_validate_json(json.dumps(plain))
        dt = self.world.role(DataProvider, owner).publish(metadata).dt
        return self._asset(name, dt, owner, operation, {"source": source, "key": key})

    def compute(
        self, owner: Account, operation: Hex32, *, name: str = "compute", **terms: Any
    ) -> Asset:
        """Publish a compute DT and write the settings of its party."""
        metadata = leaf(operation, name=name, type="compute", **terms)
        dt = self.world.role(ComputeProvider, owner).publish(metadata).dt
        return self._asset(name, dt, owner, operation, None)

    def _asset(
        self,
        name: str,
        dt: Hex32,
        owner: Account,
        operation: Hex32,
        table: Mapping[str, str] | None,
    ) -> Asset:
        folder = self.folder / "parties" / f"{name}-{dt[2:8]}"
        folder.mkdir(parents=True)
        node = Signer.random()
        node.save(folder / "node.json", PASSWORD, work=2**4)
        (folder / "password").write_text(PASSWORD + "\n")
        delegation = delegate(owner.signer, dt, node.address, self.chain.network, FAR)
        (folder / "delegation.json").write_bytes(canonical_bytes(delegation))
        config = folder / "party.toml"
        asset = Asset(name, dt, owner, operation, folder, config, node, delegation, table)
        self.assets[dt] = asset
        self.configure(asset)
        return asset

    def configure(
        self,
        asset: Asset,
        *,
        deployment: Path | None = None,
        **deadlines: float,
    ) -> None:
        """Write an asset's party.toml."""
        sections: dict[str, Mapping[str, object]] = {
            "node": {
                "key": "node.json",
                "password_file": "password",
                "delegation": "delegation.json",
            },
            "network": {"host": "127.0.0.1"},
            "engines": {"spu": str(SPU), "rosetta": str(ROSETTA)},
            "deadlines": {**self.deadlines, **deadlines},
        }
        if asset.table is not None:
            sections["table"] = asset.table
        top = {
            "dt": asset.dt,
            "deployment": str(deployment or self.chain.deployment_path),
            "store": str(self.world.store_folder),
            "state": "state",
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in top.items()]
        for section, values in sections.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in values.items()]
        asset.config.write_text("\n".join(lines) + "\n")

    def algorithm(
        self, assets: Sequence[Asset], parameters: Mapping[Hex32, Mapping[str, Scalar]] = {}
    ) -> Hex32:
        """Publish C's algorithm over the assets, each with its own operation."""
        metadata = composed(
            [asset.dt for asset in assets],
            [{str(index): asset.operation for index, asset in enumerate(assets)}],
            type="algorithm",
            name=f"Algorithm {next(_numbers)}",
            purpose="credit scoring",
            parameters={op: dict(values) for op, values in parameters.items()} or None,
            recorder=None,
        )
        plain = json.loads(metadata.model_dump_json(exclude_none=True))
        plain["services"][0]["extra_params"]["recorder"] = {
            "account": self.recorder_account.address,
            "endpoint": f"http://127.0.0.1:{self.port}",
        }
        metadata = type(metadata).model_validate_json(json.dumps(plain))
        return self.world.role(AlgorithmProvider, self.c).publish(metadata).dt

    def grant(self, assets: Sequence[Asset], algorithm: Hex32, **options: int) -> None:
        """Have every owner grant its asset to the algorithm."""
        for asset in assets:
            self.world.role(AssetOwner, asset.owner).grant(asset.dt, algorithm, **options)

    def revoke(self, asset: Asset, algorithm: Hex32) -> None:
        """Have an owner withdraw."""
        self.world.role(AssetOwner, asset.owner).revoke(asset.dt, algorithm)

    def post(self, algorithm: Hex32) -> Hex32:
        """Post the algorithm as a job of a new task, by C."""
        guarantor = self.world.role(Institution, self.c)
        return guarantor.post_job(guarantor.create_task(f"Task {next(_numbers)}"), algorithm)

    def job(
        self,
        assets: Sequence[Asset],
        parameters: Mapping[Hex32, Mapping[str, Scalar]] = {},
        **options: int,
    ) -> tuple[Hex32, Hex32]:
        """Compose, grant and post; return (job, algorithm)."""
        algorithm = self.algorithm(assets, parameters)
        self.grant(assets, algorithm, **options)
        return self.post(algorithm), algorithm

    def request(self, job: Hex32, **given: Scalar) -> tuple[SignedRequest, Wish]:
        """Sign a compute request as C; underscores in names stand for dashes."""
        provider = self.world.role(AlgorithmProvider, self.c)
        wish = make_wish(
            provider.site, job, {name.replace("_", "-"): value for name, value in given.items()}
        )
        return sign_wish(provider, wish), wish

    # Processes

    def start(
        self, asset: Asset, job: Hex32, request: Hex32, *, trick: str | None = None
    ) -> PartyProcess:
        """Start an asset's party; `trick` is a function of `tests.rtt_tracer.party.hostile`."""
        log = asset.folder / f"party-{next(_numbers)}.log"
        program = ["-c", "from rtt_tracer.cli.app import main; main()"]
        if trick is not None:
            program = ["-m", "tests.rtt_tracer.party.hostile", trick]
        command = [
            sys.executable, *program, "party",
            "--config", str(asset.config), "--job", job, "--request", request,
        ]  # fmt: skip
        with log.open("ab") as output:
            child = subprocess.Popen(
                command,
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
                cwd=asset.folder,
                start_new_session=True,
            )
        made = PartyProcess(asset, child, log, request[2:34])
        self.processes.append(made)
        return made

    def start_all(self, assets: Sequence[Asset], job: Hex32, request: Hex32) -> list[PartyProcess]:
        """Start a party for each asset."""
        return [self.start(asset, job, request) for asset in assets]

    def left_behind(self) -> list[str]:
        """Return the processes that parties have started and that are still there."""
        return left_behind(self.folder / "parties")

    def logged(self, job: Hex32) -> int:
        """Return how many rounds the chain holds."""
        return self.chain.reader().head(job, self.recorder_account.address)[1]

    def documents(self, job: Hex32, asset: Asset) -> list[RoundDocument]:
        """Return the round documents that the recorder serves to an asset's node."""
        client = RecorderClient(
            self.recorder.url,
            asset.node,
            recorder=self.recorder_account.address,
            delegation=asset.delegation,
        )
        return list(client.documents(job))

    def kill_all(self) -> None:
        """End every party that is still there."""
        for process in self.processes:
            if process.child.poll() is None:
                process.child.kill()
                process.child.wait(10)
        self.processes.clear()

    def close(self) -> None:
        """End everything that was started."""
        self.kill_all()
        self.recorder.stop()
        self.world.close()
