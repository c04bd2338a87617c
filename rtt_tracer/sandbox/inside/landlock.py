"""Landlock: which files and TCP ports the operation may use (kernel documentation, landlock).

Rules can only be taken away from what a process may do, never given; they hold for all that
it starts.
"""

import ctypes
import os
import stat
from collections.abc import Iterable

from . import kernel

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
RULE_PATH, RULE_PORT = 1, 2

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE, MAKE_DIR, MAKE_REG, MAKE_SOCK = 1 << 4, 1 << 5, 1 << 7, 1 << 8, 1 << 9
REFER, TRUNCATE = 1 << 13, 1 << 14
ALL_FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
READ = EXECUTE | READ_FILE | READ_DIR
# No devices, pipes or links: what the supervisor reads later is plain files.
WRITE = (
    READ
    | WRITE_FILE
    | REMOVE_DIR
    | REMOVE_FILE
    | MAKE_DIR
    | MAKE_REG
    | MAKE_SOCK
    | REFER
    | TRUNCATE
)
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE

BIND_TCP, CONNECT_TCP = 1, 2
SCOPE_ABSTRACT_SOCKETS, SCOPE_SIGNALS = 1, 2


def version() -> int:
    """Return the kernel's Landlock ABI; raise `OSError` where there is none."""
    return kernel.syscall(CREATE_RULESET, "Landlock", None, 0, 1)


class Rules:
    """A set of rules; what it handles and does not allow is denied.

    Parameters
    ----------
    abi : int
    ports : bool
        Whether TCP ports are handled (ABI 4).
    """

    def __init__(self, abi: int, ports: bool) -> None:
        self._handled = max(mask for since, mask in ALL_FILES.items() if since <= abi)
        net = BIND_TCP | CONNECT_TCP if ports and abi >= 4 else 0
        scope = SCOPE_ABSTRACT_SOCKETS | SCOPE_SIGNALS if abi >= 6 else 0
        attributes = (ctypes.c_uint64 * 3)(self._handled, net, scope)
        size = 24 if abi >= 6 else 16 if abi >= 4 else 8
        self._set = kernel.syscall(
            CREATE_RULESET,
            "Landlock rules",
            attributes,
            size,
            0,
        )

    def allow(self, path: str, rights: int) -> None:
        """Allow `rights` on a file, or on everything below a folder; a missing path is none."""
        try:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            return
        try:
            if not stat.S_ISDIR(os.fstat(descriptor).st_mode):
                rights &= OF_A_FILE
            rule = (rights & self._handled).to_bytes(8, "little") + descriptor.to_bytes(4, "little")
            self._add(RULE_PATH, rule)
        finally:
            os.close(descriptor)

    def allow_ports(self, bind: Iterable[int], connect: Iterable[int]) -> None:
        """Allow TCP on these ports."""
        for right, ports in ((BIND_TCP, bind), (CONNECT_TCP, connect)):
            for port in ports:
                self._add(RULE_PORT, right.to_bytes(8, "little") + port.to_bytes(8, "little"))

    def enforce(self) -> None:
        """Put the rules in force for this process, for good (needs no_new_privs)."""
        kernel.syscall(RESTRICT_SELF, "Landlock", self._set, 0)
        os.close(self._set)

    def _add(self, kind: int, rule: bytes) -> None:
        kernel.syscall(
            ADD_RULE,
            "Landlock rule",
            self._set,
            kind,
            ctypes.create_string_buffer(rule, len(rule)),
            0,
        )
