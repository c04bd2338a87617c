"""Namespaces: processes, files, network and names of the operation's own."""

import fcntl
import os
import socket
import struct
from contextlib import suppress

from . import kernel

NEW_FILES, NEW_NAMES, NEW_IPC = 0x00020000, 0x04000000, 0x08000000
NEW_USER, NEW_PROCESSES, NEW_NETWORK = 0x10000000, 0x20000000, 0x40000000
BASIC = NEW_FILES | NEW_NAMES | NEW_IPC | NEW_PROCESSES
MS_PRIVATE, MS_REC = 1 << 18, 1 << 14
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def possible() -> tuple[int, str]:
    """Try in a process that ends at once; return the flags that work (or 0) and why not."""
    why = ""
    for flags in (BASIC | NEW_NETWORK | NEW_USER, BASIC | NEW_NETWORK):
        out, back = os.pipe()
        child = os.fork()
        if child == 0:
            failure: str | None = "not possible here"
            with suppress(BaseException):
                failure = kernel.attempt(lambda flags=flags: enter(flags))  # type: ignore[misc]
            os.write(back, (failure or "").encode())
            os._exit(0)
        os.close(back)
        with os.fdopen(out) as pipe:
            failure_text = pipe.read()
        os.waitpid(child, 0)
        if not failure_text:
            return flags, ""
        why = why or failure_text
    return 0, f"unshare: {why}"


def enter(flags: int) -> None:
    """Enter new namespaces; the process namespace begins with the next child."""
    user, group = os.geteuid(), os.getegid()
    if flags & NEW_USER:
        kernel.check(int(kernel.libc.unshare(NEW_USER)), "unshare")
        _write("/proc/self/setgroups", "deny")
        _write("/proc/self/uid_map", f"{user} {user} 1")
        _write("/proc/self/gid_map", f"{group} {group} 1")
    kernel.check(int(kernel.libc.unshare(flags & ~NEW_USER)), "unshare")
    kernel.check(int(kernel.libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None)), "mount")
    socket.sethostname("operation")
    if flags & NEW_NETWORK:
        _loopback()


def _loopback() -> None:
    """Bring up 127.0.0.1, which reaches nobody outside the namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def _write(path: str, text: str) -> None:
    descriptor = os.open(path, os.O_WRONLY)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)
