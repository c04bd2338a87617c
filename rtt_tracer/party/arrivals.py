"""Shares between parties: which files go where, and when all of them have come.

A sender names its files and their digests in a last file, `LIST`; a receiver has all of them
when it holds the list of every sender and every file on the lists.
"""

import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datatoken.ddo.canonical import canonical_bytes, parse_json
from datatoken.errors import BadInputError
from datatoken.types import Hex32
from rtt_tracer.control.wire import ShareReceived

LIST = "sent.json"
MAX_LIST_BYTES = 64 * 1024
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}")


def write_list(path: Path, digests: Mapping[str, str]) -> None:
    """Write the list of what is sent."""
    path.write_bytes(canonical_bytes(dict(digests)))


@dataclass
class Arrivals:
    """What has come from whom.

    Parameters
    ----------
    senders : frozenset of Hex32
        Whose shares are waited for.
    """

    senders: frozenset[Hex32]
    files: dict[Hex32, dict[str, ShareReceived]] = field(default_factory=dict)
    lists: dict[Hex32, dict[str, str]] = field(default_factory=dict)

    def add(self, dt: Hex32, received: ShareReceived) -> bool:
        """Note a file; tell whether all files of its sender are here now.

        Raises
        ------
        BadInputError
            When a list is none, or a file is not the one on it.
        """
        if received.name == LIST:
            self.lists[dt] = _parse_list(received.path)
        else:
            self.files.setdefault(dt, {})[received.name] = received
        return self.complete(dt)

    def complete(self, dt: Hex32) -> bool:
        """Tell whether everything of one sender is here; raise `BadInputError`."""
        if dt not in self.lists:
            return False
        files = self.files.get(dt, {})
        for name, digest in self.lists[dt].items():
            if name in files and files[name].sha256 != digest:
                raise BadInputError(f"The share {name} of DT {dt[:10]}… is not the one listed.")
        return self.lists[dt].keys() == files.keys()

    @property
    def all_here(self) -> bool:
        """Whether everything of every sender is here."""
        return all(self.complete(dt) for dt in self.senders)

    def gather(self, folder: Path) -> None:
        """Move the files of all senders into one folder; two must not have one name.

        Raises
        ------
        BadInputError
        """
        folder.mkdir(parents=True, exist_ok=True)
        seen: set[str] = set()
        for dt in sorted(self.senders):
            for name, received in self.files.get(dt, {}).items():
                if name in seen:
                    raise BadInputError(f"Two parties have sent a share named {name}.")
                seen.add(name)
                shutil.move(received.path, folder / name)


def senders_first(names: Iterable[str]) -> list[str]:
    """Return file names in the order in which they are sent; raise `BadInputError`."""
    found = sorted(names)
    for name in found:
        if name == LIST or _NAME.fullmatch(name) is None:
            raise BadInputError(f"The share {name!r} has a name that can't be sent.")
    return found


def _parse_list(path: Path) -> dict[str, str]:
    with path.open("rb") as file:
        plain = parse_json(file.read(MAX_LIST_BYTES + 1), "list of shares", MAX_LIST_BYTES)
    fits = isinstance(plain, dict) and all(
        isinstance(value, str) and _NAME.fullmatch(name) for name, value in plain.items()
    )
    if not fits:
        raise BadInputError("The list of shares is none.")
    return dict(json.loads(json.dumps(plain)))
