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
        self._known = self._state()
        self._last = self._read()

    def tags(self) -> tuple[str, ...]:
        """Return the tags under which a block was seen."""
        return tuple(self._last)

    def last(self, tag: str) -> Block | None:
        """Return the newest block seen under a tag, None before the first one.

        Raises
        ------
        LocalEnvironmentError
            When another process has changed the file, and it cannot be read.
        """
        with self._lock:
            self._look()
            return self._last.get(tag)

    def advance(self, tag: str, block: Block) -> Block:
        """Note a block that was seen, on disk before it returns; return the newest one.

        That is another one where another process, or thread, has seen more meanwhile.

        Raises
        ------
        LocalEnvironmentError
            When the file cannot be written.
        """
        with self._lock:
            last = self._last.get(tag)
            if last is not None and block.number <= last.number:
                return last
            kept = block if self.path is None else self._write(self.path, tag, block)
            self._last[tag] = kept
            return kept

    def _write(self, path: Path, tag: str, block: Block) -> Block:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.with_name(path.name + ".lock").open("ab") as guard:
                fcntl.flock(guard, fcntl.LOCK_EX)
                content = self._content()
                known = content.setdefault(self.identity, {})
                if tag in known and int(known[tag]["number"]) >= block.number:
                    return _block(known[tag])
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
        return block

    def _look(self) -> None:
        """Take over what other processes have seen since the file was read last."""
        state = self._state()
        if state is None or state == self._known:
            return
        for tag, block in self._read().items():
            last = self._last.get(tag)
            if last is None or block.number >= last.number:
                self._last[tag] = block
        self._known = state

    def _state(self) -> tuple[int, int, int] | None:
        try:
            found = self.path.stat() if self.path is not None else None
        except OSError:
            return None
        return (found.st_mtime_ns, found.st_ino, found.st_size) if found is not None else None

    def _read(self) -> dict[str, Block]:
        try:
            return {
                tag: _block(found) for tag, found in self._content().get(self.identity, {}).items()
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


def _block(found: Any) -> Block:
    return Block(int(found["number"]), str(found["hash"]), 0.0)


def _unusable(path: Path | None, why: str) -> LocalEnvironmentError:
    return LocalEnvironmentError(
        f"The file {path} of the newest block seen can't be used: {why}.",
        "Free the disk or its lock; delete the file only where the chain itself was started anew.",
    )
