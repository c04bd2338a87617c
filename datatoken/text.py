"""Texts for people: what strangers wrote must not change what a reader sees."""

import unicodedata
from datetime import UTC, datetime
from urllib.parse import urlsplit

_INVISIBLE = ("Cc", "Cf", "Zl", "Zp", "Cs", "Co")


def clean(text: str) -> str:
    r"""Return a text without characters that a terminal would obey or that hide others.

    Names and code come from strangers: escape sequences and bidirectional marks are written
    out as ``\u202e``.
    """
    return "".join(
        c if c in "\n\t" or unicodedata.category(c) not in _INVISIBLE else f"\\u{ord(c):04x}"
        for c in text
    )


def show_address(url: str) -> str:
    """Return a URL's scheme, host and port: the rest may be a secret, and errors go to strangers.

    What is no URL, a folder's path for example, is returned as it is, cleaned.
    """
    scheme, separator, _ = url.partition("://")
    if not separator:
        return clean(url)
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return f"{scheme}://…" if scheme.replace("+", "").isalnum() else "…"
    host = f"[{host}]" if ":" in host else host
    return clean(f"{parts.scheme}://{host}" + ("" if port is None else f":{port}"))


def short(id_: str) -> str:
    """Return the first digits of an id, where a name stands beside it."""
    return id_[:10] + "…"


def show_moment(seconds: int | None) -> str:
    """Return a moment (Unix time) for people, in UTC; a dash for none."""
    if not seconds:
        return "-"
    try:
        return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (OverflowError, ValueError, OSError):
        return str(seconds)
