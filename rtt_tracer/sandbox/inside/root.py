"""A root folder of the operation's own: its work folder, its engine, the system's libraries."""

import ctypes
import os
import stat

from . import kernel

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_BIND, MS_REC, MNT_DETACH = 1 << 12, 1 << 14, 2
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE, FROM_DESCRIPTOR, AT_RECURSIVE = 1, 4, 0x8000
AT_FDCWD = -100
PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/nix/store")
SETTINGS = (
    "/etc/ld.so.cache",
    "/etc/ld.so.conf",
    "/etc/ld.so.conf.d",
    "/etc/alternatives",
    "/etc/localtime",
    "/etc/nsswitch.conf",
    "/sys/devices/system/cpu",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
WRITTEN = {
    "/etc/hosts": "127.0.0.1 localhost operation\n",
    "/etc/passwd": f"operation:x:{os.geteuid()}:{os.getegid()}::/:/bin/false\n",
    "/etc/group": f"operation:x:{os.getegid()}:\n",
}
OLD = ".old"


def build(folder: str, readable: list[str], shared_mb: int) -> None:
    """Make `folder` (read and write) and `readable` all that can be seen; they keep their paths.

    Needs a mount and a process namespace. Until the last step nothing has changed for this
    process, so that a failure leaves it as it was.

    Parameters
    ----------
    shared_mb : int
        Room in /dev/shm.

    Raises
    ------
    OSError
    """
    work = kernel.syscall(  # before anything is mounted over it
        OPEN_TREE, "open_tree", AT_FDCWD, folder.encode(), OPEN_TREE_CLONE | AT_RECURSIVE
    )
    _mount("tmpfs", folder, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    try:
        for name, real in _shown(readable, folder):
            _show(name, real, folder)
        for name, text in WRITTEN.items():
            with open(_place(folder, name, False), "w") as file:
                file.write(text)
            os.chmod(folder + name, 0o444)
        _attach(work, _place(folder, folder, True))
        _devices(folder, shared_mb)
        _mount("proc", _place(folder, "/proc", True), "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, "")
        old = f"{folder}/{OLD}"
        os.mkdir(old)
    except OSError:
        kernel.libc.umount2(folder.encode(), MNT_DETACH)
        raise
    finally:
        os.close(work)
    number = PIVOT_ROOT[os.uname().machine]
    kernel.syscall(number, "pivot_root", folder.encode(), old.encode())
    os.chdir("/")
    kernel.check(int(kernel.libc.umount2(f"/{OLD}".encode(), MNT_DETACH)), "umount")
    os.rmdir(f"/{OLD}")
    _restrict("/", MS_RDONLY, recursive=False)


def _shown(readable: list[str], folder: str) -> list[tuple[str, str]]:
    """Return (name, real path) of all that is bound, folders before what is in them."""
    names: dict[str, str] = {}
    for path in (*SYSTEM, *SETTINGS, *readable):
        real = os.path.realpath(path)
        if os.path.exists(real):
            names |= {real: real, path: real}
    found: list[tuple[str, str]] = []
    for name, real in sorted(names.items()):
        if not any(_within(name, above) for above in (folder, *(bound for bound, _ in found))):
            found.append((name, real))
    return found


def _within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _show(name: str, real: str, root: str) -> None:
    if name in SYSTEM and os.path.islink(name):
        os.symlink(os.readlink(name), root + name)  # /bin -> usr/bin
    else:
        _bind(real, _place(root, name, os.path.isdir(real)), MS_RDONLY | MS_NOSUID | MS_NODEV)


def _devices(root: str, shared_mb: int) -> None:
    for device in DEVICES:
        if os.path.exists(device):
            _bind(device, _place(root, device, False), MS_NOSUID)
    options = f"mode=1777,size={shared_mb}m"
    _mount("tmpfs", _place(root, "/dev/shm", True), "tmpfs", MS_NOSUID | MS_NODEV, options)  # noqa: S108
    for name, target in (("fd", "/proc/self/fd"), ("stdout", "/proc/self/fd/1")):
        os.symlink(target, f"{root}/dev/{name}")
    _place(root, "/tmp", True)  # noqa: S108 - exists, but TMPDIR is where to write


def _place(root: str, path: str, folder: bool) -> str:
    """Return where `path` is below the new root, made as a place to mount on."""
    place = root + path
    if folder:
        os.makedirs(place, 0o755, exist_ok=True)
    elif not os.path.lexists(place):
        os.makedirs(os.path.dirname(place), 0o755, exist_ok=True)
        os.close(os.open(place, os.O_CREAT | os.O_WRONLY | os.O_EXCL, 0o600))
    return place


def _bind(source: str, target: str, flags: int) -> None:
    _mount(source, target, None, MS_BIND | MS_REC, "")
    _restrict(target, flags, recursive=stat.S_ISDIR(os.stat(target).st_mode))


def _attach(tree: int, target: str) -> None:
    kernel.syscall(MOVE_MOUNT, "move_mount", tree, b"", AT_FDCWD, target.encode(), FROM_DESCRIPTOR)
    _restrict(target, MS_NOSUID | MS_NODEV, recursive=True)


def _restrict(path: str, flags: int, recursive: bool) -> None:
    """Add attributes to mounts (mount_setattr(2)); they can be added, never taken off."""
    attributes = (ctypes.c_uint64 * 4)(flags, 0, 0, 0)
    kernel.syscall(
        MOUNT_SETATTR,
        f"read-only mount of {path}",
        AT_FDCWD,
        path.encode(),
        AT_RECURSIVE if recursive else 0,
        attributes,
        ctypes.sizeof(attributes),
    )


def _mount(source: str, target: str, kind: str | None, flags: int, options: str) -> None:
    result = kernel.libc.mount(
        source.encode(),
        target.encode(),
        kind.encode() if kind else None,
        ctypes.c_ulong(flags),
        options.encode() or None,
    )
    kernel.check(int(result), f"mount of {target}")
