"""``datatoken backup`` and ``datatoken restore``: copies of state folders."""

from pathlib import Path
from typing import Annotated

import typer

from datatoken import backup as backups
from datatoken.cli.session import Session
from datatoken.errors import BadInputError


def backup(
    folder: Annotated[Path, typer.Argument(help="State folder of a daemon, or a whole one.")],
    to: Annotated[Path, typer.Option(help="New file, for example gate.backup.")],
) -> None:
    """Copy a state folder into one file, while the daemon that uses it goes on.

    Databases are copied as they are at one moment. Keystores stay encrypted. Left out are files
    with `password` in their name or `.pw` at its end (keep those elsewhere), and the folders
    `work`, `received` and `lists` of runs, which hold rows and shares.

    **Example**

        datatoken backup .datatoken/recorder --to recorder-2030-01-31.backup
    """
    session = Session.current()
    with session.output.progress("Copying…"):
        manifest = backups.create(folder, to)
    size = sum(entry.size for entry in manifest.files)
    session.output.result(
        {"file": to, "taken": manifest.taken, "files": len(manifest.files), "bytes": size},
        f"{len(manifest.files)} files, {size} bytes, of {manifest.taken}: {to}",
    )


def restore(
    file: Annotated[Path, typer.Argument(help="A backup.")],
    to: Annotated[Path, typer.Option(help="Folder that is not there yet, or empty.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Put a backup back: checked first, and only where there is nothing.

    A gate's folder is its memory. From an old copy it would count rounds and requests again
    that were used since: restore the newest one, and let others know. A recorder finds what
    is on chain by itself.

    **Example**

        datatoken restore recorder-2030-01-31.backup --to .datatoken/recorder --yes
    """
    session = Session.current()
    manifest = backups.read_manifest(file)
    if not yes and not session.confirm(
        f"This is the state of {manifest.taken}: what was counted since is forgotten. Go on?"
    ):
        raise BadInputError("Nothing was restored.", "Confirm, or give --yes.")
    with session.output.progress("Checking and copying…"):
        backups.restore(file, to)
    session.output.result(
        {"folder": to, "taken": manifest.taken, "files": len(manifest.files)},
        f"{len(manifest.files)} files of {manifest.taken} in {to}",
    )
