"""Records every packet of this network namespace's loopback device."""

import fcntl
import mmap
import select
import socket
import struct
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

ETH_P_ALL, SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 3, 0x8913, 0x8914, 1
SOL_PACKET, PACKET_RX_RING, PACKET_STATISTICS = 263, 5, 6
PACKET_VERSION, TPACKET_V3, PACKET_IGNORE_OUTGOING = 10, 2, 23
BLOCK, BLOCKS, FRAME = 1024 * 1024, 256, 2048
"""The kernel fills a block with packets, up to 64 KiB long on loopback, and hands it over whole."""

HAND_OVER = 50
"""Milliseconds after which a block is handed over that is not full."""

KERNEL, USER = 0, 1
SYN = 2


@dataclass
class Flow:
    """One direction of a TCP connection."""

    source: int
    target: int
    begin: int
    opened: bool
    """Whether the source opened the connection."""
    content: bytearray = field(default_factory=bytearray)

    def put(self, sequence: int, payload: bytes) -> None:
        """Put a segment in its place; one that comes twice lands on itself."""
        at = (sequence - self.begin - 1) % 2**32
        if at + len(payload) > len(self.content):
            self.content.extend(bytes(at + len(payload) - len(self.content)))
        self.content[at : at + len(payload)] = payload


def frames_of(block: bytes) -> Iterator[bytes]:
    """Yield the packets of a block, each with its Ethernet header."""
    count, at = struct.unpack_from("II", block, 12)
    for _ in range(count):
        following, _, _, size = struct.unpack_from("IIII", block, at)
        (begin,) = struct.unpack_from("H", block, at + 24)
        yield block[at + begin : at + begin + size]
        at += following


def loopback_up() -> None:
    """Switch on the loopback device of a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh", b"lo", 0)
        flags = struct.unpack("16sh", fcntl.ioctl(any_socket, SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sh", b"lo", flags | IFF_UP))


class Tap:
    """Listens from `start` to `stop`; needs CAP_NET_RAW in the namespace.

    Packets go into a ring that the kernel fills (TPACKET_V3 of packet_mmap, see the kernel's
    Documentation/networking/packet_mmap.rst). While it listens it only copies: a reader that is
    behind by 256 MiB loses packets.
    """

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.others: Counter[str] = Counter()
        """Packets that are no TCP over IPv4, by their kind."""
        self.lost = 0
        self._blocks: list[bytes] = []
        self._current: dict[tuple[int, int], Flow] = {}
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
        self._socket.setsockopt(SOL_PACKET, PACKET_VERSION, TPACKET_V3)
        # On loopback every packet is seen twice.
        self._socket.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        frames = BLOCK // FRAME * BLOCKS
        ring = struct.pack("7I", BLOCK, BLOCKS, FRAME, frames, HAND_OVER, 0, 0)
        self._socket.setsockopt(SOL_PACKET, PACKET_RX_RING, ring)
        self._ring = mmap.mmap(self._socket.fileno(), BLOCK * BLOCKS)
        self._socket.bind(("lo", 0))
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="tap", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Record what is there still, end, and put together what was said."""
        self._ending.set()
        self._thread.join(30)
        statistics = self._socket.getsockopt(SOL_PACKET, PACKET_STATISTICS, 12)
        self.lost = struct.unpack("III", statistics)[1]
        self._socket.close()
        for block in self._blocks:
            for frame in frames_of(block):
                self._packet(frame[14:], struct.unpack("!H", frame[12:14])[0])
        self._blocks.clear()

    def _run(self) -> None:
        poll, at = select.poll(), 0
        poll.register(self._socket, select.POLLIN)
        while True:
            status, _, _, length = struct.unpack_from("IIII", self._ring, at + 8)
            if status & USER:
                self._blocks.append(self._ring[at : at + length])
                struct.pack_into("I", self._ring, at + 8, KERNEL)
                at = (at + BLOCK) % (BLOCK * BLOCKS)
            elif not poll.poll(4 * HAND_OVER) and self._ending.is_set():
                return

    def _packet(self, packet: bytes, kind: int) -> None:
        if kind != 0x0800 or packet[9] != socket.IPPROTO_TCP:
            self.others[f"{kind:#06x}/{packet[9] if kind == 0x0800 else packet[6]}"] += 1
            return
        segment = packet[(packet[0] & 15) * 4 :]
        source, target, sequence = struct.unpack("!HHI", segment[:8])
        flags, payload = segment[13], segment[(segment[12] >> 4) * 4 :]
        if flags & SYN:
            opened = not flags & 0x10
            flow = Flow(source, target, sequence, opened)
            known = self._current.get((source, target))
            if known is None or known.begin != sequence:
                self.flows.append(flow)
                self._current[source, target] = flow
        elif payload and (source, target) in self._current:
            self._current[source, target].put(sequence, payload)
