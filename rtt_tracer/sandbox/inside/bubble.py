"""bubblewrap (bwrap), where it may make namespaces and this process may not."""

import os
import shutil
import sys
from typing import NoReturn

from .launch import Launch
from .root import SETTINGS, SYSTEM

MARK = "--in-bubblewrap"
PATH = "/usr/local/bin:/usr/bin:/bin"


def find() -> str | None:
    """Return the path of a bubblewrap that works here."""
    program = shutil.which("bwrap", path=PATH)
    if program is None:
        return None
    trial = [program, "--unshare-all", "--as-pid-1", "--ro-bind", "/", "/", "--", "/bin/true"]
    child = os.fork()
    if child == 0:
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor in range(3):
            os.dup2(null, descriptor)
        os.execve(program, trial, {})  # noqa: S606
    _, status = os.waitpid(child, 0)
    return program if status == 0 else None


def become(program: str, launch: Launch, line: bytes) -> NoReturn:
    """Become bubblewrap, which starts the warden again inside; the launch goes along."""
    carried = os.memfd_create("launch", 0)
    os.write(carried, line)
    os.lseek(carried, 0, os.SEEK_SET)
    warden = [sys.executable, *sys.orig_argv[1:], MARK, str(carried)]
    for descriptor in (launch.events, launch.orders, launch.status):
        os.set_inheritable(descriptor, True)
    os.execve(program, arguments(program, launch, warden), {})  # noqa: S606


def arguments(program: str, launch: Launch, warden: list[str]) -> list[str]:
    """Return the command that starts `warden` as the first process of a namespace."""
    made = [program, "--unshare-user-try", "--unshare-pid", "--unshare-ipc", "--unshare-uts"]
    made += [] if launch.network else ["--unshare-net"]
    made += ["--as-pid-1", "--hostname", "operation", "--proc", "/proc", "--dev", "/dev"]
    own = [sys.base_prefix, sys.prefix, os.path.dirname(os.path.dirname(__file__))]
    for path in (*SYSTEM, *SETTINGS, *own, *launch.readable):
        for name in dict.fromkeys((os.path.realpath(path), path)):
            made += ["--ro-bind-try", path, name]
    shared = int(launch.limits["memory_mb"]) * (1 << 20) // 4
    made += ["--size", str(shared), "--tmpfs", "/dev/shm"]  # noqa: S108
    made += ["--bind", launch.folder, launch.folder, "--remount-ro", "/"]
    return [*made, "--", *warden]
