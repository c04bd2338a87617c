"""Ports for a moment from now."""

import secrets
import socket

from datatoken.errors import LocalEnvironmentError

FIRST, COUNT, TRIES = 20_000, 12_000, 200
"""Below the range that Linux gives outgoing connections from (32768 on): a port that is free
there stays free until its user binds it, unless another user draws the same one."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that is free on `host` at this moment.

    Raises
    ------
    LocalEnvironmentError
        When none was found, or `host` is not of this machine.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    last = ""
    for _ in range(TRIES):
        port = FIRST + secrets.randbelow(COUNT)
        with socket.socket(family) as probe:
            try:
                probe.bind((host, port))
            except OSError as error:
                last = error.strerror or type(error).__name__
            else:
                return port
    raise LocalEnvironmentError(
        f"No free port was found on {host}: {last}.", "Name one, or correct the address."
    )
