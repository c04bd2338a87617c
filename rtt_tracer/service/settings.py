"""Settings of an asset service: a TOML file that names the parties' own settings files.

Paths are relative to the file's own folder. Nothing secret stands in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from datatoken.ddo.canonical import validate
from datatoken.errors import BadInputError
from datatoken.service.assets.models import Domain
from datatoken.service.assets.policy import Policy
from datatoken.service.assets.settings import (
    CommonSettings,
    OwnerKey,
    PolicySettings,
    at,
    load_toml,
)
from rtt_tracer.settings import PartySettings, load_party


class AssetEntry(PolicySettings):
    """One asset: the settings file of its party, and its own policy."""

    party: str


class ServiceFile(CommonSettings):
    """What ``rtt-tracer service`` is started with."""

    domain: Domain
    owner: OwnerKey | None = None
    assets: Annotated[list[AssetEntry], Field(min_length=1, max_length=64)]


@dataclass(frozen=True)
class Hosted:
    """One asset of the file: its party's settings, where they are, its policy."""

    path: Path
    party: PartySettings
    policy: Policy


@dataclass(frozen=True)
class LoadedService:
    """A settings file with the files that it names."""

    file: ServiceFile
    folder: Path
    hosted: tuple[Hosted, ...]

    def at(self, name: str) -> Path:
        """Return a path of the file."""
        return at(self.folder, name)


def load_service(path: Path) -> LoadedService:
    """Read a service's settings and those of its parties.

    Raises
    ------
    BadInputError
        With the first thing that is wrong.
    """
    plain: dict[str, Any] = load_toml(path, "service.toml")
    file = validate(ServiceFile, plain, f"settings file {path.name}")
    folder = path.resolve().parent
    hosted = []
    for entry in file.assets:
        party = at(folder, entry.party)
        hosted.append(Hosted(party, load_party(party), entry.policy(file.policy)))
    _check(file, hosted)
    return LoadedService(file, folder, tuple(hosted))


def _check(file: ServiceFile, hosted: list[Hosted]) -> None:
    """One chain, one store, one node key; rows only in the private domain."""
    parties = [one.party for one in hosted]
    first = parties[0]
    for party in parties[1:]:
        for what, own, other in (
            ("deployment", party.deployment, first.deployment),
            ("store", party.store, first.store),
            ("node.key", party.node.key, first.node.key),
        ):
            if own != other:
                raise BadInputError(
                    f"The parties of one service have different settings: {what}.",
                    "Run a service for each, or give them the same.",
                )
    if len({party.dt for party in parties}) < len(parties):
        raise BadInputError("The service's settings name a DT twice.")
    if len({party.state for party in parties}) < len(parties):
        raise BadInputError(
            "Two parties share a state folder.", "Give each party a state folder of its own."
        )
    if file.domain == "federated" and (
        named := [party.dt for party in parties if party.table is not None]
    ):
        raise BadInputError(
            f"DT {named[0][:10]}… has a table, and the service is one of the federated domain.",
            "Rows are read in the private domain: run a service of that domain for it.",
        )
