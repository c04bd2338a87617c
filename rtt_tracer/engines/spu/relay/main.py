"""The relay's main: opens its doors, says so, and runs until its supervisor is gone."""

import json
import mmap
import os
import socket
import ssl
import struct
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from .doors import Inward, Outward, Peer, context
from .pump import Pump

COUNTERS = "statistics"
"""In the link's folder: bytes sent to peers and received from them, two little-endian uint64."""
BACKLOG = 64


def main() -> None:
    """Read the configuration from the first line of stdin, and carry the link."""
    config = json.loads(sys.stdin.readline())
    os.umask(0o077)
    try:
        _start(config)
    except OSError as error:
        print(json.dumps({"error": str(error)}), flush=True)
        return
    print(json.dumps({"ready": True}), flush=True)
    sys.stdin.read()  # ends when the supervisor does
    os._exit(0)


def _start(config: dict[str, Any]) -> None:
    folder, tls, rank = Path(config["folder"]), Path(config["tls"]), int(config["rank"])
    seconds = float(config["seconds"])
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
    place = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    log = _logger(folder.parent / config["log"])
    pump = Pump(_counter(folder / COUNTERS))
    own = tls / "certificate.pem", tls / "key.pem"
    me = config["parties"][rank]
    inward = Inward(
        _tcp(me["host"], int(me["port"])), context(*own, peers, True), place, str(rank), seconds
    )
    _thread(inward.run, peers, pump.join, log)
    for peer in peers.values():
        only = context(*own, {peer.rank: peer}, False)
        door = Outward(_unix(place, str(peer.rank)), only, peer, seconds)
        _thread(door.run, pump.join, log)
    _thread(pump.run)


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


def _unix(folder: int, name: str) -> socket.socket:
    """Listen in an open folder: its path may be longer than a socket's may be."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(f"/proc/self/fd/{folder}/{name}")
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


def _logger(path: Path) -> Callable[[str], None]:
    file = path.open("a", buffering=1, encoding="utf-8")
    lock = threading.Lock()

    def log(sentence: str) -> None:
        with lock:
            file.write(sentence + "\n")

    return log


def _thread(target: Callable[..., None], *arguments: Any) -> None:
    threading.Thread(target=target, args=arguments, daemon=True).start()
