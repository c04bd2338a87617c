"""Where a requester finds the parties: their asset services, or folders on this machine."""

import contextlib
import json
import os
import shutil
import signal
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from datatoken.authorization.reasons import Reason
from datatoken.errors import BadInputError, DataTokenError, LocalEnvironmentError
from datatoken.roles.site import Site
from datatoken.service.assets.client import AssetServiceClient
from datatoken.service.signing import MessageSigner
from datatoken.types import Hex32
from rtt_tracer.party.folder import lives
from rtt_tracer.party.leftovers import WHY
from rtt_tracer.requester.watch import PartyView

MAX_STATUS = 4 * 1024 * 1024


class Source(Protocol):
    """The parties of one run."""

    def start(self, job: Hex32, request: Hex32) -> None:
        """Start all parties; raise `DataTokenError` when one refuses."""
        ...

    def look(self) -> Mapping[Hex32, PartyView]:
        """Return the parties as they are now."""
        ...

    def stop(self) -> None:
        """Ask all parties to stop; never raises."""
        ...

    def fetch(self, dt: Hex32, target: Path) -> None:
        """Copy a party's results into a folder; raise `DataTokenError`."""
        ...


class Services:
    """Parties behind asset services."""

    def __init__(self, clients: Mapping[Hex32, AssetServiceClient]) -> None:
        self._clients = dict(clients)
        self._distinct = list({id(one): one for one in clients.values()}.values())
        self._run = ""

    @classmethod
    def find(
        cls,
        endpoints: Sequence[str],
        dts: Sequence[Hex32],
        site: Site,
        signer: MessageSigner,
        certificates: Path | None,
    ) -> "Services":
        """Ask services for their cards, and find one for each DT.

        Raises
        ------
        BadInputError
            When no service has one of the DTs, or an owner does not vouch for a service.
        """
        owners = {dt: record.owner for dt, record in site.documents.find(dts).items()}
        found: dict[Hex32, AssetServiceClient] = {}
        for endpoint in endpoints:
            client = AssetServiceClient(endpoint, signer, certificates=certificates)
            for asset in client.verified_card(site.network, owners).assets:
                found.setdefault(asset.dt, client)
        if absent := [dt for dt in dts if dt not in found]:
            raise BadInputError(
                f"None of the services has DT {absent[0]}.",
                "Name the asset service of every party: --service URL.",
            )
        return cls(found)

    def start(self, job: Hex32, request: Hex32) -> None:
        """Start all services' parts at once: the parties wait for each other."""
        self._run = request[2:34]
        with ThreadPoolExecutor(len(self._distinct)) as pool:
            futures = [pool.submit(self._start_one, one, job, request) for one in self._distinct]
        failures = [error for future in futures if (error := future.exception()) is not None]
        if failures:
            self.stop()
            raise failures[0]

    def _start_one(self, client: AssetServiceClient, job: Hex32, request: Hex32) -> None:
        client.start(job, request, [dt for dt, one in self._clients.items() if one is client])

    def look(self) -> Mapping[Hex32, PartyView]:
        """Ask every service."""
        found = {}
        for client in self._distinct:
            for one in client.job(self._run).parties:
                if self._clients.get(one.asset) is not client:
                    continue  # nobody speaks for an asset whose owner has not said so
                found[one.asset] = PartyView(
                    one.asset,
                    one.state.value,
                    one.reason,
                    one.sentence,
                    one.stage,
                    one.stages,
                )
        return found

    def stop(self) -> None:
        """Ask every service to stop; one that is away does not keep the others."""
        for client in self._distinct:
            try:
                client.stop(self._run)
            except DataTokenError:
                continue

    def fetch(self, dt: Hex32, target: Path) -> None:
        """Download a party's results."""
        client = self._clients[dt]
        target.mkdir(parents=True, exist_ok=True)
        for file in client.results(self._run, dt):
            client.download(self._run, file, target / file.name, dt)


class Folders:
    """Parties that were started by hand on this machine: their run folders."""

    def __init__(self, states: Sequence[Path]) -> None:
        self._states = list(states)
        self._run = ""

    def start(self, job: Hex32, request: Hex32) -> None:
        """Remember the run; a human starts the parties."""
        self._run = request[2:34]

    def look(self) -> Mapping[Hex32, PartyView]:
        """Read every status file."""
        found = {}
        for folder in self._folders():
            lived = lives(folder)  # before its last word is read
            if status := _status(folder):
                one = _view(status)
                if not one.over and not lived:
                    one = replace(one, state="failed", reason=Reason.PARTY_STOPPED, sentence=WHY)
                found[one.dt] = one
        return found

    def stop(self) -> None:
        """Send SIGTERM to the parties that are still there."""
        for folder in self._folders():
            status = _status(folder)
            pid = status.get("pid")
            if isinstance(pid, int) and lives(folder):  # else the number is somebody else's
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGTERM)

    def fetch(self, dt: Hex32, target: Path) -> None:
        """Copy a party's results."""
        for folder in self._folders():
            if _status(folder).get("dt") == dt:
                shutil.copytree(folder / "results", target, dirs_exist_ok=True)
                return
        raise LocalEnvironmentError(f"There is no folder of DT {dt[:10]}….")

    def _folders(self) -> list[Path]:
        return [state / "runs" / self._run for state in self._states]


def _status(folder: Path) -> dict[str, object]:
    try:
        with (folder / "status.json").open("rb") as file:
            plain = json.loads(file.read(MAX_STATUS))
    except (OSError, ValueError):
        return {}
    return plain if isinstance(plain, dict) and {"dt", "state"} <= plain.keys() else {}


def _view(status: Mapping[str, object]) -> PartyView:
    return PartyView(
        str(status["dt"]),
        str(status["state"]),
        str(status.get("reason") or ""),
        str(status.get("sentence") or ""),
        _number(status.get("stage")),
        _number(status.get("stages")),
    )


def _number(value: object) -> int | None:
    return value if isinstance(value, int) else None
