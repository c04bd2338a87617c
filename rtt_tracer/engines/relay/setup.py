"""What every manner of relay is made of: peers, contexts, listeners, the pump, the log."""

import mmap
import os
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .doors import Inward, Log, Peer, context
from .pump import Pump

COUNTERS = "statistics"
"""In the link's folder: bytes sent to peers and received from them, two little-endian uint64."""
BACKLOG = 64


@dataclass(frozen=True)
class Setup:
    """One relay.

    Attributes
    ----------
    place : int
        The link's folder, open: its path may be longer than a socket's may be.
    server, clients : SSLContext
        For peers that come, and for each peer that is dialled.
    """

    config: dict[str, Any]
    rank: int
    seconds: float
    peers: dict[int, Peer]
    place: int
    server: ssl.SSLContext
    clients: dict[int, ssl.SSLContext]
    inward: Inward
    pump: Pump
    log: Log

    @classmethod
    def of(cls, config: dict[str, Any]) -> Self:
        """Read the configuration and open the link's port; raise `OSError`."""
        folder, tls, rank = Path(config["folder"]), Path(config["tls"]), int(config["rank"])
        peers = {
            int(one["rank"]): Peer(
                int(one["rank"]),
                one["host"],
                int(one["port"]),
                ssl.PEM_cert_to_DER_cert(one["certificate"]),
            )
            for one in config["parties"]
            if one["rank"] != rank
        }
        own = tls / "certificate.pem", tls / "key.pem"
        me, server = config["parties"][rank], context(*own, peers, True)
        return cls(
            config=config,
            rank=rank,
            seconds=float(config["seconds"]),
            peers=peers,
            place=os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC),
            server=server,
            clients={other: context(*own, {other: one}, False) for other, one in peers.items()},
            inward=Inward(_tcp(me["host"], int(me["port"])), server),
            pump=Pump(_counter(folder / COUNTERS)),
            log=_logger(folder.parent / config["log"]),
        )


def listen(place: int, name: str) -> socket.socket:
    """Listen on a unix socket in an open folder."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(f"/proc/self/fd/{place}/{name}")
    sock.listen(BACKLOG)
    return sock


def thread(target: Callable[..., None], *arguments: Any) -> None:
    """Run something for as long as the relay lives."""
    threading.Thread(target=target, args=arguments, daemon=True).start()


def _tcp(host: str, port: int) -> socket.socket:
    family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((host, port))
    except OSError as error:
        raise OSError(f"{host}:{port}: {error.strerror}") from None
    sock.listen(BACKLOG)
    return sock


def _counter(path: Path) -> Callable[[int, int], None]:
    path.write_bytes(bytes(16))
    with path.open("r+b") as file:
        view = mmap.mmap(file.fileno(), 16)
    total = [0, 0]

    def count(sent: int, received: int) -> None:
        total[0] += sent
        total[1] += received
        struct.pack_into("<QQ", view, 0, *total)

    return count


def _logger(path: Path) -> Log:
    file = path.open("a", buffering=1, encoding="utf-8")
    lock = threading.Lock()

    def log(sentence: str) -> None:
        with lock:
            file.write(sentence + "\n")

    return log
