"""What a program needs beside the system's libraries, seen from its path alone."""

import os
from pathlib import Path

MAX_LINKS = 16


def program_paths(program: Path) -> tuple[Path, ...]:
    """Return a program with the links that lead to it and, for Python, its libraries.

    Parameters
    ----------
    program : Path
        Absolute. In a virtual environment: that environment and its base's library too.
    """
    found: list[Path] = []
    for hop in _hops(program):
        found.append(hop)
        prefix = hop.parent.parent
        if (prefix / "pyvenv.cfg").is_file():
            found.append(prefix)
        if any((prefix / "lib").glob("python3*/os.py")):
            found.append(prefix / "lib")
    return tuple(dict.fromkeys(found))


def _hops(program: Path) -> list[Path]:
    """Follow the links of a file one by one."""
    hops = [program]
    while hops[-1].is_symlink() and len(hops) < MAX_LINKS:
        hops.append(Path(os.path.normpath(hops[-1].parent / hops[-1].readlink())))
    return hops
