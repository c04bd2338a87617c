"""The code of an operation as an owner reads it before granting: files, and what changed."""

import difflib
import io
import zipfile
from collections.abc import Mapping

MAX_FILES = 1000
MAX_SHOWN_BYTES = 4 * 1024 * 1024


def source_files(bundle: bytes) -> dict[str, str]:
    """Return the text files of a bundle by name; what is no text is said to be so.

    A bundle that is not an archive is one file named ``bundle``. Nothing is written to disk
    and nothing is run.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(bundle)) as archive:
            entries = archive.infolist()[:MAX_FILES]
            if sum(entry.file_size for entry in entries) > MAX_SHOWN_BYTES:
                return {"bundle": f"(an archive larger than {MAX_SHOWN_BYTES} bytes)"}
            return {
                entry.filename: _text(archive.read(entry))
                for entry in entries
                if not entry.is_dir()
            }
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, ValueError, OSError, EOFError):
        return {"bundle": _text(bundle)}


def code_diff(before: Mapping[str, str], after: Mapping[str, str]) -> str:
    """Return a unified diff of two sets of files; empty when they are the same."""
    lines: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        lines += difflib.unified_diff(
            [] if old is None else old.splitlines(),
            [] if new is None else new.splitlines(),
            "/dev/null" if old is None else f"seen before/{name}",
            "/dev/null" if new is None else f"now/{name}",
            lineterm="",
        )
    return "\n".join(lines)


def _text(content: bytes) -> str:
    try:
        return content[:MAX_SHOWN_BYTES].decode("utf-8")
    except UnicodeDecodeError:
        return f"(not text: {len(content)} bytes)"
