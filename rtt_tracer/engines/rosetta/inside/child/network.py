"""The empty network that Rosetta lives in: it binds 0.0.0.0 and speaks plain TCP.

Nothing but a loopback device is there, so nobody else can reach its port. A socket stays in
the network it was made in: those made here are handed to the relay outside, which accepts and
connects on them.
"""

import array
import socket
from pathlib import Path
from typing import List

DEVICES = "/proc/self/net/dev"
HEADER_LINES = 2
LOOPBACK = "127.0.0.1"
SPARE = 8
"""Sockets for connections from peers; Rosetta's peers make one each."""


def alone() -> bool:
    """Return whether this process has a network of its own, with a loopback device only."""
    lines = Path(DEVICES).read_text().splitlines()[HEADER_LINES:]
    return [line.partition(":")[0].strip() for line in lines] == ["lo"]


def listeners(ports: List[int]) -> List[socket.socket]:
    """Return one listening socket for each port: where Rosetta looks for its peers."""
    found = []
    for port in ports:
        one = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.bind((LOOPBACK, port))
        one.listen(SPARE)
        found.append(one)
    return found


def diallers() -> List[socket.socket]:
    """Return sockets that are not connected yet, to reach Rosetta from outside."""
    return [socket.socket(socket.AF_INET, socket.SOCK_STREAM) for _ in range(SPARE)]


def hand_over(link: socket.socket, sockets: List[socket.socket]) -> None:
    """Send sockets over a Unix socket; close this side's copies."""
    descriptors = array.array("i", [one.fileno() for one in sockets])
    link.sendmsg([b"{}\n"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
    for one in sockets:
        one.close()
