"""Reading what an operation left behind, without being led astray.

A supervisor may read more than the operation may: a link in ``out/`` to the owner's keystore
would have the supervisor send it to the peers. So only plain files count, and only after the
operation has ended (nobody can swap them then).
"""

import os
import stat
from pathlib import Path
from typing import BinaryIO

from datatoken.errors import BadInputError

MAX_FILES = 10_000


def collect(folder: Path) -> tuple[Path, ...]:
    """Return all files below a folder, by name.

    Parameters
    ----------
    folder : Path
        Inside the work folder, at most two levels down (``out/results``).

    Raises
    ------
    BadInputError
        When anything there is no plain file or folder, or a file has a second name.
    """
    found: list[Path] = []
    for here in (folder.parent, folder):
        if here.is_symlink():
            raise _astray(here)
    pending = [folder] if folder.is_dir() else []
    while pending:
        for entry in os.scandir(pending.pop()):
            facts = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(facts.st_mode):
                pending.append(Path(entry.path))
            elif _plain(facts):
                found.append(Path(entry.path))
            else:
                raise _astray(Path(entry.path))
        if len(found) + len(pending) > MAX_FILES:
            raise BadInputError(f"The operation left more than {MAX_FILES} files.")
    return tuple(sorted(found))


def open_output(path: Path) -> BinaryIO:
    """Open one file of an operation for reading; never a link, pipe or device.

    Raises
    ------
    BadInputError
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags)
    except OSError:
        raise _astray(path) from None
    if not _plain(os.fstat(descriptor)):
        os.close(descriptor)
        raise _astray(path)
    return os.fdopen(descriptor, "rb")


def _plain(facts: os.stat_result) -> bool:
    return stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1


def _astray(path: Path) -> BadInputError:
    return BadInputError(
        f"The operation left {path.name!r}, which is no plain file.",
        "Do not trust this operation; tell its publisher.",
    )
