"""Addresses of IPFS nodes, read once."""

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

LIBRARY = "ipfshttpclient"

_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9a-fA-F.]*:[0-9a-fA-F:.]+(%[A-Za-z0-9]+)?")


@dataclass(frozen=True, slots=True)
class NodeAddress:
    """Where a node's RPC API is, and which client is to be used.

    Parameters
    ----------
    url : str
        ``http://host:port`` or ``https://host:port``; may hold a user's name and password.
    library : bool
        Whether ipfshttpclient is asked for.
    """

    url: str
    library: bool


def node_address(text: str) -> NodeAddress | None:
    """Return the address of a node, or None when it is none: no path, no query, a real port."""
    try:
        parts = urlsplit(text)
        library, _, scheme = parts.scheme.rpartition("+")
        url = f"{scheme}://{parts.netloc}"
        well = bool(
            scheme in ("http", "https")
            and library in ("", LIBRARY)
            and parts.hostname
            and parts.port != 0
            and parts.path in ("", "/")
            and not parts.query
            and not parts.fragment
            and httpx.URL(url).host  # reads IDNA, and fails where it is none
            and _HOST.fullmatch(httpx.URL(url).raw_host.decode("ascii"))
        )
    except (ValueError, httpx.InvalidURL):  # a port that is none, brackets that are not closed, …
        return None
    return NodeAddress(url, library == LIBRARY) if well else None
