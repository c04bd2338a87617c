"""The warden's main: walls first, then the operation, then the watch."""

import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

from . import kernel
from .guard import Guard

MB = 1 << 20
LIFELINE = 0


def main() -> NoReturn:
    """Read the launch from the first line of stdin, and carry it out."""
    launch = json.loads(_first_line())
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # the lifeline is how the supervisor speaks
    kernel.hide()
    report: list[tuple[str, bool, str]] = [
        ("clean environment", True, f"{len(launch['environment'])} variables, all given")
    ]
    _begin(launch, report)


def _begin(launch: dict[str, Any], report: list[tuple[str, bool, str]]) -> NoReturn:
    why = kernel.attempt(lambda: kernel.prctl(kernel.PR_SET_CHILD_SUBREAPER, "subreaper", 1))
    report.append(("process namespace", False, why or "subreaper instead"))
    warden = os.getpid()
    child = os.fork()
    if child == 0:
        _operation(launch, report, warden)
    for descriptor in (launch["events"], launch["orders"]):
        os.close(descriptor)
    guard = Guard(child, False, LIFELINE, launch["folder"], launch["limits"], _tell(launch))
    guard.watch()
    os._exit(0)


def _operation(
    launch: dict[str, Any], report: list[tuple[str, bool, str]], warden: int
) -> NoReturn:
    """Become the operation."""
    try:
        kernel.die_with_parent(warden)
        os.setsid()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.chdir(launch["folder"])
        os.umask(0o077)
        _limit(launch["limits"])
        report.append(("resource limits", True, "rlimits"))
        os.set_inheritable(launch["status"], False)
        for descriptor in (launch["events"], launch["orders"]):
            os.set_inheritable(descriptor, True)
        _tell(launch)({"isolation": report})
        os.execve(launch["argv"][0], launch["argv"], launch["environment"])
    except BaseException as error:
        _tell(launch)({"error": f"{type(error).__name__}: {error}"})
    os._exit(127)


def _limit(limits: dict[str, float]) -> None:
    for what, value in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_CPU, limits["cpu_seconds"]),
        (resource.RLIMIT_DATA, limits["memory_mb"] * MB),
        (resource.RLIMIT_FSIZE, limits["file_mb"] * MB),
        (resource.RLIMIT_NOFILE, limits["files"]),
    ):
        _, hard = resource.getrlimit(what)
        bound = int(value) if hard == resource.RLIM_INFINITY else min(int(value), hard)
        resource.setrlimit(what, (bound, bound))


def _tell(launch: dict[str, Any]) -> Any:
    """Return how to tell the supervisor something."""

    def say(message: dict[str, Any]) -> None:
        os.write(launch["status"], json.dumps(message).encode() + b"\n")

    return say


def _first_line() -> bytes:
    """Read one line from the lifeline, and not a byte beyond it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(LIFELINE, 1)
        if not byte:
            sys.exit(1)
        line += byte
    return bytes(line)
