"""Settings of an asset service: a TOML file that names the parties' own settings files.

Paths are relative to the file's own folder. Nothing secret stands in it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from datatoken.ddo.canonical import validate
from datatoken.errors import BadInputError
from datatoken.service.assets.models import Count, Domain, PolicyMode
from datatoken.service.assets.policy import Policy
from datatoken.types import Address, Model, Seconds
from rtt_tracer.settings import PartySettings, load_party, load_toml


class PolicySettings(Model):
    """How requests for grants are answered; an asset's own values replace the service's.

    Attributes
    ----------
    mode : {"auto", "queue", "refuse"}
    expiry : int
        Seconds that a grant by `auto` lasts; 0: without end.
    max_rounds : int
        Messages of each kind that it allows; 0: without limit.
    requesters : list of Address
        Whom `auto` answers; empty: anybody within the terms.
    """

    mode: PolicyMode | None = None
    expiry: Seconds | None = None
    max_rounds: Count | None = None
    requesters: list[Address] | None = None

    def policy(self, default: "PolicySettings") -> Policy:
        """Return the policy, with what is left out from a default."""
        own = set(PolicySettings.model_fields)
        merged = default.model_dump(exclude_none=True)
        merged |= self.model_dump(include=own, exclude_none=True)
        requesters = frozenset(merged.pop("requesters", ()))
        return Policy(**merged, requesters=requesters)


class OwnerKey(Model):
    """The owner's key, for grants by `auto` and approvals over HTTP."""

    key: str
    password_file: str


class AssetEntry(PolicySettings):
    """One asset: the settings file of its party, and its own policy."""

    party: str


class ServiceFile(Model):
    """What ``rtt-tracer service`` is started with."""

    name: Annotated[str, Field(min_length=1, max_length=200)]
    domain: Domain
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 9443
    state: str = "service"
    certificate: str | None = None
    key: str | None = None
    insecure: bool = False
    policy: PolicySettings = PolicySettings()
    owner: OwnerKey | None = None
    assets: Annotated[list[AssetEntry], Field(min_length=1, max_length=64)]

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("certificate and key are given together, or not at all")
        if self.insecure and self.certificate is not None:
            raise ValueError("insecure and a certificate exclude each other")
        return self


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
        return self.folder / Path(name).expanduser()


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
        at = folder / Path(entry.party).expanduser()
        hosted.append(Hosted(at, load_party(at), entry.policy(file.policy)))
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
