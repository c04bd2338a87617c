"""Hosts of their own: network namespaces with an address each, joined by a router.

`enter` puts a command into a user namespace, where it may make networks; in there, `Router`
makes the hosts. Nothing is needed but util-linux: the kernel is asked by netlink.
"""

import os
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

NEW_LINK, NEW_ADDRESS, NEW_ROUTE = 16, 20, 24
REQUEST, ACKNOWLEDGE, EXCLUSIVE, CREATE = 0x1, 0x4, 0x200, 0x400
ADDRESS, LOCAL, GATEWAY, NAME, INFO, NAMESPACE = 1, 2, 5, 3, 18, 19
ROOT = Path(__file__).parents[2]
CENTRE = "10.77.0.1"


def enter(command: Sequence[str]) -> list[str]:
    """Return a command that runs another one as root of its own namespaces."""
    return ["unshare", "--user", "--map-root-user", "--net", "--kill-child", "--fork", *command]


def why_not() -> str:
    """Return why this machine can't make networks; empty when it can."""
    try:
        tried = subprocess.run(
            enter([sys.executable, "-m", "tests.support.hosts", "try"]),
            capture_output=True,
            text=True,
            cwd=ROOT,
            check=False,
        )
    except FileNotFoundError:
        return "there is no unshare (util-linux)"
    return tried.stderr.strip().splitlines()[-1] if tried.returncode else ""


@dataclass
class Host:
    """A host with an address of its own."""

    name: str
    number: int
    holder: "subprocess.Popen[str]"

    @property
    def address(self) -> str:
        """Its address."""
        return f"10.77.{self.number}.2"

    def command(self, command: Sequence[str]) -> list[str]:
        """Return a command that runs another one on this host."""
        return ["nsenter", f"--net=/proc/{self.holder.pid}/ns/net", "--", *command]

    def cut(self) -> None:
        """Take the link to all others down."""
        _switch(f"to-{self.number}", on=False)

    def heal(self) -> None:
        """Bring the link up again."""
        _switch(f"to-{self.number}", on=True)


@dataclass
class Router:
    """The middle: it passes packets on, and has an address that all hosts reach."""

    hosts: list[Host] = field(default_factory=list)

    def __post_init__(self) -> None:
        _switch("lo", on=True)
        _address("lo", CENTRE, 32)
        Path("/proc/sys/net/ipv4/ip_forward").write_text("1")

    def host(self, name: str) -> Host:
        """Add a host."""
        number = len(self.hosts) + 1
        command = ["unshare", "--net", sys.executable, "-m", "tests.support.hosts", str(number)]
        holder = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )
        assert holder.stdin and holder.stdout
        assert holder.stdout.readline() == "here\n"
        _veth(f"to-{number}", "out", holder.pid)
        _address(f"to-{number}", f"10.77.{number}.1", 24)
        _switch(f"to-{number}", on=True)
        print("go", file=holder.stdin, flush=True)
        assert holder.stdout.readline() == "ready\n"
        self.hosts.append(Host(name, number, holder))
        return self.hosts[-1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for host in self.hosts:
            host.holder.kill()
            host.holder.wait()


def _hold(number: int) -> None:
    """Keep a namespace open, and set its side of the link up."""
    print("here", flush=True)
    sys.stdin.readline()
    for name in ("lo", "out"):
        _switch(name, on=True)
    _address("out", f"10.77.{number}.2", 24)
    gateway = _attribute(GATEWAY, socket.inet_aton(f"10.77.{number}.1"))
    _ask(NEW_ROUTE, CREATE, struct.pack("=8BI", 2, 0, 0, 0, 254, 3, 0, 1, 0) + gateway)
    print("ready", flush=True)
    sys.stdin.read()


def _veth(name: str, peer: str, pid: int) -> None:
    other = _link() + _named(peer) + _attribute(NAMESPACE, struct.pack("=I", pid))
    kind = _attribute(1, b"veth\0") + _attribute(2, _attribute(1, other))
    _ask(NEW_LINK, CREATE | EXCLUSIVE, _link() + _named(name) + _attribute(INFO, kind))


def _switch(name: str, *, on: bool) -> None:
    _ask(NEW_LINK, 0, _link(socket.if_nametoindex(name), int(on), 1))


def _address(name: str, address: str, length: int) -> None:
    number = socket.inet_aton(address)
    head = struct.pack("=4BI", 2, length, 0, 0, socket.if_nametoindex(name))
    both = _attribute(LOCAL, number) + _attribute(ADDRESS, number)
    _ask(NEW_ADDRESS, CREATE | EXCLUSIVE, head + both)


def _link(index: int = 0, flags: int = 0, change: int = 0) -> bytes:
    return struct.pack("=BxHiII", 0, 0, index, flags, change)


def _named(name: str) -> bytes:
    return _attribute(NAME, name.encode() + b"\0")


def _attribute(kind: int, content: bytes) -> bytes:
    made = struct.pack("=HH", len(content) + 4, kind) + content
    return made + b"\0" * (-len(made) % 4)


def _ask(kind: int, flags: int, content: bytes) -> None:
    """Ask the kernel by netlink; raise OSError with its answer."""
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as kernel:
        flags |= REQUEST | ACKNOWLEDGE
        kernel.send(struct.pack("=IHHII", 16 + len(content), kind, flags, 1, 0) + content)
        code = -struct.unpack_from("=i", kernel.recv(4096), 16)[0]
        if code:
            raise OSError(code, os.strerror(code))


if __name__ == "__main__":
    if sys.argv[1] == "try":
        with Router() as router:
            router.host("one")
    else:
        _hold(int(sys.argv[1]))
