"""What a simulated run changes in this process, each put back afterwards."""

import logging
import os
import random
import shutil
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from datatoken.errors import RunFailedError
from fl_edge.fab import read_fab
from fl_edge.simulation.swap import swapped

SHORT = 40
"""Ray puts sockets below its folder, and the path of a socket is 107 bytes at most."""

LEAVING = 30.0
"""Seconds for a ServerApp to end once the engine has stopped; its next call of the grid fails."""


class ServerThreads:
    """flwr's thread of the ServerApp: never one for which a process would wait at its exit."""

    def __init__(self) -> None:
        self._found: list[threading.Thread] = []

    def wrap(self, original: Callable[..., threading.Thread]) -> Callable[..., threading.Thread]:
        """Return flwr's ``run_serverapp_th``, which starts a daemon then."""

        def run_serverapp_th(*given: Any, **named: Any) -> threading.Thread:
            def start() -> None:
                self._found.append(original(*given, **named))

            # A thread is a daemon where the thread that makes it is one.
            maker = threading.Thread(target=start, daemon=True)
            maker.start()
            maker.join()
            if not self._found:
                raise RunFailedError("flwr has not started the ServerApp.")
            return self._found[-1]

        return run_serverapp_th

    def join(self) -> None:
        """Wait until the ServerApp has ended; not longer than `LEAVING`."""
        for thread in self._found:
            thread.join(LEAVING)


@contextmanager
def installed(fab: bytes) -> Iterator[Path]:
    """Unpack an app into a folder that is found first, and forget it afterwards."""
    with tempfile.TemporaryDirectory(prefix="fl-app-") as name:
        folder = Path(name).resolve()
        for inner, content in read_fab(fab).items():
            path = folder / inner
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
        sys.path.insert(0, str(folder))
        try:
            yield folder
        finally:
            while str(folder) in sys.path:
                sys.path.remove(str(folder))
            for module in [n for n, m in sys.modules.items() if _inside(m, folder)]:
                del sys.modules[module]


def _inside(module: Any, folder: Path) -> bool:
    return str(getattr(module, "__file__", None) or "").startswith(f"{folder}{os.sep}")


@contextmanager
def environment(values: Mapping[str, str]) -> Iterator[None]:
    """Set variables of this process for a while: Ray's workers get them too."""
    earlier = dict(os.environ)
    os.environ.update(values)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(earlier)


@contextmanager
def logged(say: Callable[[str], None]) -> Iterator[None]:
    """Give flwr's log to `say`, instead of the terminal."""

    class Said(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            say(f"{record.levelname}: {record.getMessage()}")

    logger = logging.getLogger("flwr")
    with swapped(logger, "handlers", [Said(logging.INFO)]):
        yield


@contextmanager
def scratch_folder() -> Iterator[str | None]:
    """Make a folder for Ray's session, gone afterwards; None where its path would be too long."""
    name = tempfile.mkdtemp(prefix="fl-")
    try:
        yield name if len(name) <= SHORT else None
    finally:
        shutil.rmtree(name, ignore_errors=True)


def seed_all(seed: int) -> None:
    """Seed what a server draws from: `random` and NumPy."""
    import numpy as np

    random.seed(seed)
    np.random.seed(seed % 2**32)
