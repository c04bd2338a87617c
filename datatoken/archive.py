"""Archives in one canonical form: uncompressed zip, fixed date, nothing but the files.

Two archives that hold the same files in the same order are the same bytes on every machine,
and bytes that differ from what this writer would make are refused: no comment, no extra
field, no link, no second entry of a name and no bytes between entries can carry anything.
The form is that of flwr's own FAB builder (flwr 1.40 and 1.41, on Linux and macOS).
"""

import io
import re
import stat
import zipfile
from collections.abc import Iterable, Mapping

from datatoken.errors import BadInputError

DATE = (2024, 10, 1, 0, 0, 0)
UNIX, MODE = 3, 0o600 << 16
NAME = re.compile(r"[A-Za-z0-9._][A-Za-z0-9._ \-]*(/[A-Za-z0-9._][A-Za-z0-9._ \-]*)*")
MAX_NAME, MAX_FILES = 200, 1000


def write_archive(files: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the canonical archive of `files`, in the order given.

    Raises
    ------
    BadInputError
        When a name is no plain relative path, or comes twice.
    """
    buffer = io.BytesIO()
    seen: set[str] = set()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in files:
            _check_name(name, seen)
            info = zipfile.ZipInfo(name, DATE)
            info.create_system, info.external_attr = UNIX, MODE
            info.compress_type = zipfile.ZIP_STORED
            archive.writestr(info, content)
    return buffer.getvalue()


def read_archive(content: bytes, what: str, limit: int) -> Mapping[str, bytes]:
    """Return the files of a canonical archive by name, in their order.

    Parameters
    ----------
    content : bytes
    what : str
        The archive's name in an error, for example ``"FAB"``.
    limit : int
        Most bytes accepted.

    Raises
    ------
    BadInputError
        One sentence that names the first thing wrong.
    """
    if len(content) > limit:
        raise BadInputError(f"The {what} has {len(content)} bytes; {limit} are allowed.")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            files = _read_all(archive, len(content))
        canonical = write_archive(files.items())
    except BadInputError as error:
        raise BadInputError(f"The {what} is refused: {error.message}") from None
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError, EOFError) as error:
        raise BadInputError(f"The {what} is not a sound zip archive: {error}.") from None
    if canonical != content:
        raise BadInputError(f"The {what} holds bytes beside its files, or is not in plain form.")
    return files


def _read_all(archive: zipfile.ZipFile, size: int) -> dict[str, bytes]:
    entries = archive.infolist()
    if len(entries) > MAX_FILES:
        raise BadInputError(f"it has {len(entries)} files; {MAX_FILES} are allowed.")
    if sum(entry.file_size for entry in entries) > size:
        raise BadInputError("its files claim more bytes than it has.")
    seen: set[str] = set()
    for entry in entries:
        _check_name(entry.orig_filename, seen)
        if stat.S_ISLNK(entry.external_attr >> 16):
            raise BadInputError(f"{entry.filename!r} is a link.")
        if entry.compress_type != zipfile.ZIP_STORED or entry.compress_size != entry.file_size:
            raise BadInputError(f"{entry.filename!r} is compressed.")
    return {entry.filename: archive.read(entry) for entry in entries}


def _check_name(name: str, seen: set[str]) -> None:
    """Refuse paths that leave the folder, and names equal on a disk that ignores case."""
    shown = name[:60].encode("unicode_escape").decode()
    parts = name.split("/")
    if (
        len(name) > MAX_NAME
        or not NAME.fullmatch(name)
        or any(part.endswith((" ", ".")) for part in parts)
    ):
        raise BadInputError(f"the name '{shown}' is no plain relative path.")
    if name.lower() in seen:
        raise BadInputError(f"the name '{shown}' comes twice.")
    seen.add(name.lower())
