"""Reads what a run has left: events by cursor, the log's end, results by name.

An operation may have written a run's files, so nothing here follows a link, and no name
leaves the folder.
"""

import contextlib
import hashlib
import json
import os
import re
import stat
from collections.abc import Mapping
from io import BufferedReader
from pathlib import Path
from typing import Any

from datatoken import strict_json
from datatoken.service.assets.models import Event, Events, ResultFile
from datatoken.service.problems import ServiceCode, ServiceError

MAX_PAGE = 256 * 1024
MAX_LOG = 256 * 1024
MAX_RESULTS = 256
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_CODE = re.compile(r"[A-Za-z0-9_.:\-]{1,80}")


def events(path: Path, since: int, *, whole: bool) -> Events:
    """Return the events after a cursor.

    Parameters
    ----------
    since : int
        Where the last page ended; 0 at first.
    whole : bool
        Whether texts are shown, as to the asset's owner. Everybody else sees numbers and
        codes: a text could be an operation's, and so hold rows.
    """
    found: list[Event] = []
    file = _open(path)
    if file is None:
        return Events(events=[], next=since)
    with file:
        file.seek(since)
        content = file.read(MAX_PAGE)
    end = content.rfind(b"\n") + 1
    if not end and len(content) == MAX_PAGE:
        end = MAX_PAGE  # a line longer than a page is nobody's event
    for line in content[:end].splitlines():
        if (event := _event(line, whole=whole)) is not None:
            found.append(event)
    return Events(events=found, next=since + end)


def _event(line: bytes, *, whole: bool) -> Event | None:
    try:
        plain = strict_json.loads(line)
        name, moment = plain.pop("event"), plain.pop("time", "")
        facts = {str(k)[:64]: _fact(v, whole=whole) for k, v in plain.items()}
        shown = {name: value for name, value in facts.items() if value is not None}
        return Event(event=name, time=moment, facts=shown)
    except (ValueError, KeyError, AttributeError, TypeError):
        return None


def _fact(value: Any, *, whole: bool) -> bool | int | float | str | None:
    if isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, str) and (whole or _CODE.fullmatch(value)):
        return value[:2000]
    if whole and isinstance(value, (Mapping, list)):
        return json.dumps(value)[:2000]
    return None


def log_tail(path: Path) -> bytes:
    """Return the end of a log, from the beginning of a line."""
    file = _open(path)
    if file is None:
        return b""
    with file:
        size = os.fstat(file.fileno()).st_size
        file.seek(max(0, size - MAX_LOG))
        content = file.read(MAX_LOG)
    return content if size <= MAX_LOG else content.partition(b"\n")[2]


def results(folder: Path) -> list[ResultFile]:
    """Return the files of results, by name."""
    found = []
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(entry.name for entry in folder.iterdir())
    for name in names[:MAX_RESULTS]:
        file = _open(folder / name) if _NAME.fullmatch(name) else None
        if file is None:
            continue
        with file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            size = os.fstat(file.fileno()).st_size
        found.append(ResultFile(name=name, size=size, sha256="0x" + digest))
    return found


def result(folder: Path, name: str) -> BufferedReader:
    """Open one file of results; raise `ServiceError` when there is none of this name."""
    file = _open(folder / name) if _NAME.fullmatch(name) else None
    if file is None:
        raise ServiceError(ServiceCode.RESULT_UNKNOWN, "There is no such result.")
    return file


def _open(path: Path) -> BufferedReader | None:
    """Open a regular file that has one name only, and is no link in a folder that is none."""
    try:
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        handle = os.open(path.name, flags, dir_fd=folder)
    except OSError:
        return None
    finally:
        os.close(folder)
    found = os.fstat(handle)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
        os.close(handle)
        return None
    return os.fdopen(handle, "rb")
