"""Settings of an asset service for composites: a TOML file.

Paths are relative to the file's own folder. Nothing secret stands in it: keys are in keystore
files, passwords in files of their own.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, StringConstraints, model_validator

from datatoken.ddo.canonical import validate
from datatoken.errors import BadInputError
from datatoken.service.assets import settings
from datatoken.service.assets.models import Domain, PolicyMode
from datatoken.service.assets.policy import Policy
from datatoken.service.assets.settings import CommonSettings, OwnerKey, PolicySettings, load_toml
from datatoken.types import Hex32, Model

NAME = "service.toml"
HostAndPort = Annotated[str, StringConstraints(pattern=r"^[^\s/:@]+:[0-9]{1,5}$")]


class NodeKey(Model):
    """The key that the composites' owner has delegated: it is the service's account."""

    key: str
    password_file: str


class AnnouncingOwner(OwnerKey):
    """The owner's key, for grants by `auto`, approvals over HTTP, and announcements.

    Attributes
    ----------
    announce : bool
        Whether it announces requests that the gate would allow; else the owner does it from
        elsewhere (``datatoken job announce``) before a run is asked for.
    """

    announce: bool = True


class SuperLinkSettings(Model):
    """Where the owner's own SuperLink is.

    Attributes
    ----------
    address : str
        host:port of its Control API.
    insecure : bool
        No TLS, for local trials.
    root_certificates : str, optional
        CA certificates (PEM).
    """

    address: HostAndPort
    insecure: bool = False
    root_certificates: str | None = None

    @model_validator(mode="after")
    def _tls(self) -> Self:
        if self.insecure and self.root_certificates is not None:
            raise ValueError("insecure and root_certificates exclude each other")
        return self


class CompositeEntry(PolicySettings):
    """One composite: its DT, the owner's word for the node key, its SuperLink, its policy."""

    dt: Hex32
    delegation: str
    superlink: SuperLinkSettings


class ServiceFile(CommonSettings):
    """What ``fl-edge service`` is started with."""

    deployment: str
    store: str
    domain: Domain = "federated"
    node: NodeKey
    owner: AnnouncingOwner | None = None
    assets: Annotated[list[CompositeEntry], Field(min_length=1, max_length=64)]


@dataclass(frozen=True)
class LoadedService:
    """A settings file, and where it is."""

    file: ServiceFile
    path: Path

    def at(self, name: str) -> Path:
        """Return a path of the file."""
        return settings.at(self.path.parent, name)

    @property
    def store(self) -> str:
        """Where the store is."""
        name = self.file.store
        return name if "://" in name else str(self.at(name))

    def asset(self, dt: Hex32) -> CompositeEntry:
        """Return an asset's entry; raise `BadInputError`."""
        for entry in self.file.assets:
            if entry.dt == dt:
                return entry
        raise BadInputError(f"The settings {self.path.name} name no DT {dt[:10]}….")

    def policy(self, entry: CompositeEntry) -> Policy:
        """Return an asset's policy."""
        return entry.policy(self.file.policy)

    @property
    def automatic(self) -> bool:
        """Whether a grant is given without a human."""
        return any(self.policy(one).mode is PolicyMode.AUTO for one in self.file.assets)

    def run_folder(self, dt: Hex32, run: str) -> Path:
        """Return where a run leaves its words."""
        return self.at(self.file.state) / "engine" / dt[2:18] / run


def load_service(path: Path) -> LoadedService:
    """Read the settings of a service.

    Raises
    ------
    BadInputError
        With the first thing that is wrong.
    """
    file = validate(ServiceFile, load_toml(path, NAME), f"settings file {path.name}")
    if len({entry.dt for entry in file.assets}) < len(file.assets):
        raise BadInputError("The service's settings name a DT twice.")
    return LoadedService(file, path.resolve())
