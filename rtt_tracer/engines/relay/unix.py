"""The manner of SPU: one unix socket in the work folder for each party."""

import socket
import ssl
import time

from .doors import RETRY_SECONDS, Outward, Peer, connect_inside
from .setup import Setup, listen, thread


def start(setup: Setup) -> None:
    """Open the doors; raise `OSError`."""
    until = time.monotonic() + setup.seconds

    def take(_: Peer, outer: ssl.SSLSocket) -> None:
        setup.pump.join(_engine(setup, until), outer)

    thread(setup.inward.run, setup.peers, take, setup.log)
    for rank, peer in setup.peers.items():
        door = Outward(listen(setup.place, str(rank)), setup.clients[rank], peer, setup.seconds)
        thread(door.run, setup.pump.join, setup.log)
    thread(setup.pump.run)


def _engine(setup: Setup, until: float) -> socket.socket:
    """Connect to the engine's socket: a socket of this user's, not a link to another one."""
    while True:
        try:
            return connect_inside(setup.place, str(setup.rank))
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(RETRY_SECONDS / 4)
