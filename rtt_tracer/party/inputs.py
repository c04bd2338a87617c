"""The owner's rows and the operation's files, put into the engine's work folder."""

import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from datatoken.ddo.models import Ddo
from datatoken.errors import BadInputError
from datatoken.types import Hex32
from rtt_tracer.bundle import unpack_bundle
from rtt_tracer.engines.base import Role
from rtt_tracer.party.request import Task
from rtt_tracer.settings import TableSettings

if TYPE_CHECKING:
    from rtt_tracer.tables import PrivateTable

WITH_IDS = (Role.SPU_INTERSECT, Role.LOCAL)
"""Roles whose operation gets the ids beside the columns."""


@dataclass(frozen=True)
class Rows:
    """What the others get to know of the own rows."""

    count: int
    alignment: Hex32


def place_bundle(task: Task, work: Path) -> None:
    """Unpack the registered bytes, and make the folders of the work folder."""
    unpack_bundle(task.bundle, work / "bundle")
    for name in ("in", "tls", "tmp", "out/results"):
        (work / name).mkdir(parents=True, mode=0o700)


def place_rows(task: Task, table: TableSettings | None, ddo: Ddo, work: Path) -> Rows | None:
    """Write the owner's rows for roles that read some; None for the others.

    Raises
    ------
    BadInputError, LocalEnvironmentError
        When there is no table, or it does not fit its schema.
    """
    if task.me.input is None:
        return None
    if table is None:
        raise BadInputError(
            f"The operation {task.document.name} reads rows, and no table is named.",
            "Give [table] source and key in the party's settings.",
        )
    from rtt_tracer.tables import open_table  # most parties read none

    found = open_table(
        table.source,
        table.key,
        ddo.service.extra_params.table_schema,
        table=table.table,
        query=table.query,
        keep_ids=Path(table.keep_ids) if table.keep_ids else None,
    )
    path = work / "in" / "table.npz"
    found.write_npz(path)
    if task.me.role in WITH_IDS:
        _add_ids(path, found)
    return Rows(found.rows, found.alignment(task.plan.request))


def _add_ids(path: Path, table: "PrivateTable") -> None:
    if "ids" in table.columns:
        raise BadInputError("A column is named ids, which is the key's name for operations.")
    with (
        zipfile.ZipFile(path, "a") as archive,
        archive.open("ids.npy", "w", force_zip64=True) as entry,
    ):
        np.lib.format.write_array(entry, np.asarray(table.ids, dtype=np.str_), allow_pickle=False)


def place_certificates(work: Path, own: tuple[str, str] | None, certificates: list[str]) -> None:
    """Write the link's key and certificate of this run, and those of all linked parties."""
    if own is None:
        return
    folder = work / "tls"
    (folder / "certificate.pem").write_text(own[0])
    key = folder / "key.pem"
    key.touch(mode=0o600)
    key.write_text(own[1])
    for rank, certificate in enumerate(certificates):
        (folder / f"{rank}.pem").write_text(certificate)
    (folder / "peers.pem").write_text("".join(certificates))
