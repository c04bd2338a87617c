"""What the operation's processes use, read from /proc."""

import os
from dataclasses import dataclass

MB = 1 << 20
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Usage:
    """Memory and disk in MB; processes and threads together."""

    memory_mb: int
    processes: int
    disk_mb: int
    free_disk_mb: int


def descendants(root: int) -> list[int]:
    """Return the pids below `root`, whatever sessions and groups they are in."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            stat = _read(f"/proc/{name}/stat")
            fields = stat.rpartition(b")")[2].split()
            if len(fields) > 1:
                parents[int(name)] = int(fields[1])
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found - {root})


def measure(pids: list[int], folder: str) -> Usage:
    """Measure the processes `pids` and the tree below `folder`."""
    memory = threads = 0
    for pid in pids:
        pages = _read(f"/proc/{pid}/statm").split()
        memory += int(pages[1]) * PAGE if len(pages) > 1 else 0
        fields = _read(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        threads += int(fields[17]) if len(fields) > 17 else 0
    space = os.statvfs(folder)
    free = space.f_bavail * space.f_frsize
    return Usage(memory // MB, threads, (_tree(folder)) // MB, free // MB)


def exceeded(usage: Usage, limits: dict[str, float]) -> str | None:
    """Return a sentence when the operation uses more than it may."""
    for what, used, limit in (
        ("MB of memory", usage.memory_mb, limits["memory_mb"]),
        ("processes and threads", usage.processes, limits["processes"]),
        ("MB in its work folder", usage.disk_mb, limits["disk_mb"]),
    ):
        if used > limit:
            return f"The operation used {used} {what}; {limit:g} are allowed."
    if usage.free_disk_mb < limits["free_disk_mb"]:
        return f"The disk has {usage.free_disk_mb} MB left; the operation was ended."
    return None


def _tree(folder: str) -> int:
    total = 0
    try:
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                total += _tree(entry.path)
            else:
                total += entry.stat(follow_symlinks=False).st_blocks * 512
    except OSError:  # it may remove what we look at, or hide it from nobody but itself
        return total
    return total


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(4096)
    except OSError:
        return b""
