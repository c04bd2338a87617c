"""The newest block seen so far, on the reader's own disk: a view never goes back behind it."""

import fcntl
import json
import os
import tempfile
import threading
from pathlib import Path
from typing import Any

from datatoken.chain.pinning import Block
from datatoken.errors import LocalEnvironmentError

FILE = "chain-seen.json"


class SeenBlocks:
    """The newest block seen of one deployment, for each tag (`latest`, `finalized`).

    Processes may share the file: it only ever moves forward.

    Parameters
    ----------
    identity : str
        Which deployment; what was seen of another one does not count.
    path : Path, optional
        File that keeps it across restarts; without one it lasts as long as the process.

    Raises
    ------
    LocalEnvironmentError
        When the file cannot be read: a memory that is lost must not go unnoticed.
    """

    def __init__(self, identity: str, path: Path | None = None) -> None:
        self.identity, self.path = identity, path
        self._lock = threading.Lock()
        self._last = self._read()

    def tags(self) -> tuple[str, ...]:
        """Return the tags under which a block was seen."""
        return tuple(self._last)

    def last(self, tag: str) -> Block | None:
        """Return the newest block seen under a tag, None before the first one."""
        return self._last.get(tag)

    def advance(self, tag: str, block: Block) -> None:
        """Note a block that was seen; on disk before it returns.

        Raises
        ------
        LocalEnvironmentError
            When the file cannot be written.
        """
        with self._lock:
            last = self._last.get(tag)
            if last is not None and block.number <= last.number:
                return
            if self.path is not None:
                self._write(self.path, tag, block)
            self._last[tag] = block

    def _write(self, path: Path, tag: str, block: Block) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_name(path.name + ".lock").open("ab") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                content = self._content()
                known = content.setdefault(self.identity, {})
                if tag in known and int(known[tag]["number"]) >= block.number:
                    return
                known[tag] = {"number": block.number, "hash": block.hash}
                handle, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    json.dump(content, file)
                    file.flush()
                    os.fsync(file.fileno())
                Path(name).replace(path)
        except OSError as error:
            raise _unusable(path, str(error.strerror)) from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unusable(path, "it is damaged") from error

    def _read(self) -> dict[str, Block]:
        try:
            return {
                tag: Block(int(found["number"]), str(found["hash"]), 0.0)
                for tag, found in self._content().get(self.identity, {}).items()
            }
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unusable(self.path, "it is damaged") from error

    def _content(self) -> dict[str, Any]:
        if self.path is None:
            return {}
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise _unusable(self.path, str(error.strerror)) from error
        except ValueError as error:
            raise _unusable(self.path, "it is damaged") from error
        if not isinstance(content, dict):
            raise _unusable(self.path, "it is damaged")
        return content


def _unusable(path: Path | None, why: str) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"The file {path} of the newest block seen can't be used: {why}.",
        "Free the disk or its lock; delete the file only where the chain itself was started anew.",
    )
