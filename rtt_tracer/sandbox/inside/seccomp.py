"""A filter of system calls: sockets that no other rule covers, and doors to other processes.

Landlock knows TCP alone, so UDP, MPTCP, vsock and the rest are refused here; io_uring would
pass by this filter, so there is none. See seccomp(2) for the instruction set.
"""

import ctypes
import errno
import os
import struct
from typing import Any

from . import kernel

PR_SET_SECCOMP, MODE_FILTER = 22, 2
LOAD, EQUAL, ABOVE, ANY_BIT, AND, RETURN = 0x20, 0x15, 0x35, 0x45, 0x54, 0x06
ALLOW, KILL, REFUSE = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, ARGUMENTS = 0, 4, 16
AF_UNIX, AF_INET, AF_INET6, STREAM, TCP = 1, 2, 10, 1, 6
NEW_NAMESPACES = 0x7E020000
X32 = 0x40000000

NUMBERS = {  # name: (x86_64, aarch64)
    "socket": (41, 198),
    "clone": (56, 220),
    "clone3": (435, 435),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "kcmp": (312, 272),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "unshare": (272, 97),
    "setns": (308, 268),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "keyctl": (250, 219),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "memfd_create": (319, 279),
    "shmget": (29, 194),
    "msgget": (68, 186),
    "semget": (64, 190),
    "init_module": (175, 105),
    "finit_module": (313, 273),
    "delete_module": (176, 106),
    "kexec_load": (246, 104),
    "reboot": (169, 142),
    "swapon": (167, 224),
    "open_by_handle_at": (304, 265),
    "io_uring_setup": (425, 425),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "mount_setattr": (442, 442),
    "memfd_secret": (447, 447),
}
AUDIT = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


class _Program(ctypes.Structure):
    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def compose(machine: str, tcp: bool) -> bytes:
    """Return the filter; `tcp`: whether such sockets may be made, beside Unix ones.

    Raises
    ------
    KeyError
        For a machine whose numbers are not known.
    """
    audit = AUDIT[machine]
    numbers = {name: both[list(AUDIT).index(machine)] for name, both in NUMBERS.items()}
    refused = REFUSE | errno.EPERM
    code = [
        _step(LOAD, ARCHITECTURE),
        _step(EQUAL, audit, 1, 0),
        _step(RETURN, KILL),
        _step(LOAD, NUMBER),
        _step(ABOVE, X32, 0, 1),
        _step(RETURN, REFUSE | errno.ENOSYS),
    ]
    special = {
        "socket": _sockets(tcp),
        "clone": [
            _step(LOAD, ARGUMENTS),
            _step(ANY_BIT, NEW_NAMESPACES, 0, 1),
            _step(RETURN, refused),
            _step(RETURN, ALLOW),
        ],
        "clone3": [_step(RETURN, REFUSE | errno.ENOSYS)],  # its flags can't be seen from here
        "memfd_create": [_step(RETURN, REFUSE | errno.ENOSYS)],
    }
    for name, number in numbers.items():
        block = special.get(name, [_step(RETURN, refused)])
        code += [_step(EQUAL, number, 0, len(block)), *block]
    return b"".join([*code, _step(RETURN, ALLOW)])


def _sockets(tcp: bool) -> list[bytes]:
    """Return the verdict on socket(domain, type, protocol)."""
    refused = _step(RETURN, REFUSE | errno.EACCES)
    code = [_step(LOAD, ARGUMENTS), _step(EQUAL, AF_UNIX, 0, 1), _step(RETURN, ALLOW)]
    if not tcp:
        return [*code, refused]
    return [
        *code,
        _step(EQUAL, AF_INET, 1, 0),
        _step(EQUAL, AF_INET6, 0, 6),
        _step(LOAD, ARGUMENTS + 8),
        _step(AND, 0xF),
        _step(EQUAL, STREAM, 0, 3),
        _step(LOAD, ARGUMENTS + 16),
        _step(EQUAL, 0, 2, 0),
        _step(EQUAL, TCP, 1, 0),
        refused,
        _step(RETURN, ALLOW),
    ]


def enforce(tcp: bool) -> None:
    """Put the filter of `compose` in force.

    Raises
    ------
    OSError
    """
    try:
        content = compose(os.uname().machine, tcp)
    except KeyError:
        raise OSError(errno.ENOSYS, f"no filter for {os.uname().machine}") from None
    install(content)


def install(content: bytes) -> None:
    """Put a filter in force for this process, for good (needs no_new_privs)."""
    held: Any = ctypes.create_string_buffer(content, len(content))
    program = _Program(len(content) // 8, ctypes.addressof(held))
    result = kernel.libc.prctl(
        PR_SET_SECCOMP, ctypes.c_ulong(MODE_FILTER), ctypes.byref(program), 0, 0
    )
    kernel.check(int(result), "seccomp")


def _step(code: int, value: int, if_true: int = 0, if_false: int = 0) -> bytes:
    return struct.pack("=HBBI", code, if_true, if_false, value)
