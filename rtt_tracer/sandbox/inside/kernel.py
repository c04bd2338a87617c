"""System calls that Python has no names for."""

import ctypes
import os
import signal
from collections.abc import Callable
from typing import Any

libc: Any = ctypes.CDLL(None, use_errno=True)

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_CAPBSET_DROP = 24
PR_SET_CHILD_SUBREAPER = 36
PR_SET_NO_NEW_PRIVS = 38
PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 47, 4
CAPABILITY_VERSION_3 = 0x20080522
LAST_CAPABILITY = 63


def check(result: int, what: str) -> int:
    """Return `result`; raise `OSError` with the reason when the call failed."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(number: int, what: str, *arguments: Any) -> int:
    """Make a system call by number; raise `OSError` when it fails."""
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return check(int(libc.syscall(ctypes.c_long(number), *given)), what)


def prctl(option: int, what: str, *arguments: int) -> int:
    """Call prctl(2); raise `OSError` when it fails."""
    padded = [ctypes.c_ulong(a) for a in (*arguments, 0, 0, 0, 0)[:4]]
    return check(int(libc.prctl(ctypes.c_int(option), *padded)), what)


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends (PR_SET_PDEATHSIG)."""
    prctl(PR_SET_PDEATHSIG, "PR_SET_PDEATHSIG", int(signal.SIGKILL))
    if os.getppid() != parent:  # it ended before the call
        os._exit(1)


def hide() -> None:
    """Keep other processes of this user out of this one's memory; no core dumps."""
    prctl(PR_SET_DUMPABLE, "PR_SET_DUMPABLE", 0)


def drop_privileges() -> None:
    """Give up all capabilities, for good: no program executed later can bring any back."""
    prctl(PR_SET_NO_NEW_PRIVS, "PR_SET_NO_NEW_PRIVS", 1)
    for capability in range(LAST_CAPABILITY + 1):
        libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # fails where there is none: fine
    libc.prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION_3, 0)
    check(int(libc.capset(header, (ctypes.c_uint32 * 6)())), "capset")


def attempt(action: Callable[[], object]) -> str | None:
    """Do `action`; return why it failed, or None."""
    try:
        action()
    except OSError as error:
        return error.strerror or str(error)
    return None
