"""Password files: one file, one password, its first line."""

from pathlib import Path

from datatoken.errors import KeystoreError

MAX_BYTES = 4096


def read_password(path: Path) -> str:
    """Return the first line of a password file.

    Raises
    ------
    KeystoreError
        When it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.readline(MAX_BYTES).decode().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise KeystoreError(
            f"The password file {path} cannot be read.", "Check its path and permissions."
        ) from error
