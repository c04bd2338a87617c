"""Parties with real documents on the session's chain: what roles, trace and commands work on."""

import io
import itertools
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from datatoken.chain.signer import Signer
from datatoken.ddo.canonical import validate
from datatoken.ddo.models import Metadata
from datatoken.roles import (
    Administrator,
    AlgorithmProvider,
    AssetOwner,
    DataProvider,
    EndUser,
    Institution,
    Site,
    complete_document,
)
from datatoken.roles.account import Account
from datatoken.types import Hex32, Scalar
from tests.support.chain import Chain

R = TypeVar("R", bound=Account)
_numbers = itertools.count(1)
RECORDER = "0x" + "7e" * 20


def bundle_of(files: dict[str, str]) -> bytes:
    """Return a zip archive of some source files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@dataclass
class World:
    """Roles over one chain and one store; each party has a folder of its own."""

    chain: Chain
    folder: Path
    opened: list[Any] = field(default_factory=list)

    @property
    def store_folder(self) -> Path:
        return self.folder / "store"

    def site(self, party: str) -> Site:
        """Return a site with the party's own folder and connection."""
        site = Site.open(self.chain.deployment, self.store_folder, self.folder / party)
        self.opened.append(site)
        return site

    def role(self, kind: type[R], account: Any) -> R:
        """Return an account (of `Chain`, or a signer) in a role."""
        signer = account if isinstance(account, Signer) else account.signer
        made = kind(self.site(signer.address), signer)
        self.opened.append(made)
        return made

    @property
    def administrator(self) -> Administrator:
        return self.role(Administrator, self.chain.admin)

    @property
    def a(self) -> Institution:
        return self.role(Institution, self.chain.a)

    @property
    def b(self) -> Institution:
        return self.role(Institution, self.chain.b)

    def user(self, index: int = 0) -> AssetOwner:
        """Return an enrolled user that sends its own transactions."""
        return self.role(AssetOwner, self.chain.users[index])

    def end_user(self, signer: Signer) -> EndUser:
        """Return a user without funds."""
        return EndUser(self.site(signer.address), signer)

    def operation(self, kind: str = "client", code: str = "", **fields: Any) -> Hex32:
        """Register an operation with real bytes and return its id."""
        number = next(_numbers)
        bundle = bundle_of({"op/__init__.py": code or f"NUMBER = {number}\n"})
        point = {"server": "serverapp"}.get(kind, "clientapp")
        plain: dict[str, Any] = {
            "name": f"Operation{number}",
            "kind": kind,
            "entry_points": {point: "op:app"},
            "messages": [] if kind == "server" else ["train", "evaluate"],
            "reveals": [{"what": "model weights", "to": "the composite's owner"}],
        }
        administrator = self.administrator
        document = complete_document(bundle, administrator.address, {**plain, **fields})
        return administrator.register_operation(bundle, document)

    def two_banks_of_users(self, users: int = 2, **terms: Any) -> "Wearables":
        """Return users' data below institution A's composite below institution B's algorithm.

        Everything is published; nothing is granted.
        """
        edge, average = self.operation(), self.operation("server")
        data = [self.user(i).publish(leaf(edge, name=f"ECG {i}", **terms)).dt for i in range(users)]
        owner = self.role(DataProvider, self.chain.a)
        composite = owner.publish(
            composed(data, [dict.fromkeys(map(str, range(users)), edge) | {"self": average}])
        ).dt
        provider = self.role(AlgorithmProvider, self.chain.b)
        algorithm = provider.publish(composed([composite], [{"0": "self"}], type="algorithm")).dt
        return Wearables(self, edge, average, data, composite, algorithm, owner, provider)

    def close(self) -> None:
        for one in reversed(self.opened):
            one.close()


@dataclass
class Wearables:
    """The documents of MVP 2, and the parties of its job."""

    world: World
    edge: Hex32
    average: Hex32
    data: list[Hex32]
    composite: Hex32
    algorithm: Hex32
    a: DataProvider
    b: AlgorithmProvider

    def grant(self, *, users: Sequence[int] | None = None, top: bool = True) -> None:
        """Grant users' data to the composite, and the composite to the algorithm."""
        for index in range(len(self.data)) if users is None else users:
            self.world.user(index).grant(self.data[index], self.composite)
        if top:
            self.a.grant(self.composite, self.algorithm)

    def post(self) -> Hex32:
        """Post the algorithm as a job of a new task."""
        guarantor = self.world.b
        task = guarantor.create_task(f"Task {next(_numbers)}")
        return guarantor.post_job(task, self.algorithm)


def leaf(*operations: Hex32, name: str = "Data", type: str = "data", **terms: Any) -> Metadata:
    """Return the metadata of a leaf, unlike any made before."""
    service: dict[str, Any] = {
        "type": type,
        "endpoint": f"urn:leaf:{time.time_ns()}:{next(_numbers)}",
        "supported_ops": list(operations),
        "extra_params": {"name": name, "terms": terms},
    }
    return validate(Metadata, {"services": [service]}, "metadata")


def composed(
    children: Sequence[Hex32],
    stages: Sequence[dict[str, str]],
    *,
    type: str = "data",
    name: str = "Composite",
    purpose: str | None = "research",
    supported: Sequence[Hex32] = (),
    parameters: dict[Hex32, dict[str, Scalar]] | None = None,
    recorder: str | None = RECORDER,
    **extra: Any,
) -> Metadata:
    """Return the metadata of a composite, unlike any made before."""
    workflow: dict[str, Any] = {"set_ops": list(stages)}
    if parameters:
        workflow["configs"] = {"parameters": parameters}
    params: dict[str, Any] = {"name": name, **extra}
    if purpose is not None:
        params["purpose"] = purpose
    if recorder is not None:
        params["recorder"] = {"account": recorder, "endpoint": "http://127.0.0.1:1"}
    service: dict[str, Any] = {
        "type": type,
        "endpoint": f"urn:composite:{time.time_ns()}:{next(_numbers)}",
        "child_dts": list(children),
        "supported_ops": list(supported),
        "workflows": [workflow],
        "extra_params": params,
    }
    return validate(Metadata, {"services": [service]}, "metadata")
