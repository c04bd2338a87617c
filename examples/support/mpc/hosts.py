"""Asset services: their settings files, and each one as a process of its own."""

import json
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import httpx

from datatoken.errors import LocalEnvironmentError
from datatoken.roles.owner import AssetOwner
from datatoken.service.assets.processes import LOCK, PartyProcess
from datatoken.types import Hex32
from examples.support.accounts import Account
from examples.support.credit import KEY
from examples.support.ground import ROOT, Ground
from examples.support.processes import Process, Processes, program
from examples.support.recorder import START
from rtt_tracer.control.certificates import make_certificate
from rtt_tracer.settings import EngineSettings

KEEP_WORK = {"DATATOKEN_KEEP_WORK": "1"}
"""So that a demo can show what lay where; without it a run removes its work folder."""

PARTY_SECONDS = 10.0
"""For a party to tell its peers and end by itself."""

DELEGATED_SECONDS = 7 * 24 * 3600
Domain = Literal["private", "federated"]
Mode = Literal["auto", "queue", "refuse"]


@dataclass
class Host:
    """One asset service: who runs it, in which domain, and what it serves.

    Attributes
    ----------
    node : Account
        The key that its owner delegates: it signs receipts and introductions.
    mode : {"auto", "queue", "refuse"}
        What it does with a request for a grant that keeps to the terms.
    assets : dict of Hex32 to Path or None
        DT → its table.
    """

    name: str
    owner: Account
    node: Account
    domain: Domain
    port: int
    folder: Path
    mode: Mode = "auto"
    assets: dict[Hex32, Path | None] = field(default_factory=dict)
    process: Process | None = None

    @property
    def endpoint(self) -> str:
        """Where it answers: what the documents of its assets name."""
        return f"https://127.0.0.1:{self.port}"

    @property
    def certificate(self) -> Path:
        """Its certificate (PEM)."""
        return self.folder / "tls.pem"

    def state(self, dt: Hex32) -> Path:
        """Return the state folder of one of its assets."""
        return self.folder / f"state-{dt[2:10]}"

    def engine_log(self, dt: Hex32, run: str) -> str:
        """Return what an engine has written; it stays at the asset's owner."""
        path = self.state(dt) / "runs" / run / "engine.log"
        return path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""


def write_settings(ground: Ground, host: Host, role: AssetOwner) -> Path:
    """Write certificate, delegations and settings of a service; return its settings file."""
    host.folder.mkdir(parents=True, exist_ok=True)
    if not host.certificate.exists():
        certificate, key = make_certificate(host.name, "127.0.0.1")
        host.certificate.write_text(certificate, encoding="utf-8")
        (host.folder / "tls.key").touch(mode=0o600)
        (host.folder / "tls.key").write_text(key, encoding="utf-8")
    for dt, table in host.assets.items():
        _write_party(ground, host, role, dt, table)
    lines = [
        f'name = "{host.owner.name}, {host.domain} domain"',
        f'domain = "{host.domain}"',
        f'host = "127.0.0.1"\nport = {host.port}\nstate = "service"',
        'certificate = "tls.pem"\nkey = "tls.key"',
        f'[policy]\nmode = "{host.mode}"',
        f'[owner]\nkey = "{host.owner.keystore}"\npassword_file = "{host.owner.password_file}"',
    ]
    lines += [f'[[assets]]\nparty = "party-{dt[2:10]}.toml"' for dt in host.assets]
    path = host.folder / "service.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def _write_party(
    ground: Ground, host: Host, role: AssetOwner, dt: Hex32, table: Path | None
) -> None:
    delegation = host.folder / f"delegation-{dt[2:10]}.json"
    signed = role.delegate(dt, host.node.address, int(time.time()) + DELEGATED_SECONDS)
    delegation.write_text(json.dumps(signed.model_dump(mode="json")), encoding="utf-8")
    lines = [
        f'dt = "{dt}"\ndeployment = "{ground.deployment_path}"\nstore = "{ground.store}"',
        f'state = "{host.state(dt)}"',
        f'[node]\nkey = "{host.node.keystore}"\npassword_file = "{host.node.password_file}"',
        f'delegation = "{delegation}"',
        f'[engines]\nspu = "{engine_python("spu")}"\nrosetta = "{engine_python("rosetta")}"',
    ]
    if table is not None:
        lines.append(f'[table]\nsource = "{table}"\nkey = "{KEY}"')
    path = host.folder / f"party-{dt[2:10]}.toml"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def engine_python(engine: str) -> Path:
    """Return the interpreter of an engine's own environment."""
    return ROOT / ".engines" / engine / "bin" / "python"


def engine_settings() -> EngineSettings:
    """Return where the engines' environments of this checkout are."""
    return EngineSettings(spu=str(engine_python("spu")), rosetta=str(engine_python("rosetta")))


def check_engine(engine: str) -> None:
    """Raise `LocalEnvironmentError` where an engine's environment is not there."""
    if not engine_python(engine).exists():
        raise LocalEnvironmentError(
            f"The {engine} engine's environment is not at {engine_python(engine)}.",
            f"Make it: make {engine}.",
        )


def start_host(
    processes: Processes, host: Host, settings: Path, environment: Mapping[str, str] | None = None
) -> Process:
    """Start a service and wait until it says that it listens."""
    command = [program("rtt-tracer"), "service", "--config", str(settings)]
    host.process = processes.start(host.name, command, environment)
    return host.process


def end_parties(hosts: Iterable[Host]) -> None:
    """End every party that services have started: a service that stops lets them go on."""
    folders = [lock.parent for host in hosts for lock in host.folder.rglob(LOCK)]
    living = [party for party in map(PartyProcess, folders) if party.alive()]
    for party in living:
        party.terminate()
    deadline = time.monotonic() + PARTY_SECONDS
    while any(party.alive() for party in living) and time.monotonic() < deadline:
        time.sleep(0.1)
    for party in living:
        party.kill()


def wait_for_hosts(hosts: list[Host]) -> None:
    """Wait until every service answers."""
    for host in hosts:
        context = ssl.create_default_context(cafile=str(host.certificate))

        def well(host: Host = host, context: ssl.SSLContext = context) -> bool:
            try:
                return httpx.get(f"{host.endpoint}/healthz", verify=context, timeout=3).is_success
            except httpx.HTTPError:
                return False

        if host.process is not None:
            host.process.wait_until(well, "its health", START)
