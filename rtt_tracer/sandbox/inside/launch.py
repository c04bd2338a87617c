"""What the supervisor wants started, and the way back to it."""

import json
import os
import sys
from dataclasses import dataclass, field
from typing import Any

LIFELINE = 0
MAX_LINE = 1 << 20


@dataclass
class Launch:
    """One operation's start, as the supervisor writes it to the warden's stdin.

    Attributes
    ----------
    events, orders, status : int
        Descriptors: the operation's two pipes, and the warden's own.
    own_users : bool
        Whether it is in a user namespace, whose processes the kernel counts by themselves.
    findings : list of (mechanism, in force, why)
        For the supervisor's report.
    """

    argv: list[str]
    environment: dict[str, str]
    folder: str
    readable: list[str]
    bind: list[int]
    connect: list[int]
    limits: dict[str, float]
    events: int
    orders: int
    status: int
    own_users: bool = False
    findings: list[tuple[str, bool, str]] = field(default_factory=list)

    @property
    def network(self) -> bool:
        """Whether it has ports, and so needs the machine's network."""
        return bool(self.bind or self.connect)

    def say(self, message: dict[str, Any]) -> None:
        """Tell the supervisor something."""
        try:
            os.write(self.status, json.dumps(message).encode() + b"\n")
        except OSError:  # it is gone; the lifeline says so too
            return

    def found(self, mechanism: str, why_not: str | None, how: str) -> bool:
        """Note whether a mechanism is in force; return that."""
        self.findings.append((mechanism, why_not is None, how if why_not is None else why_not))
        return why_not is None


def read_launch(descriptor: int) -> tuple[Launch, bytes]:
    """Read the launch, and not a byte of the lifeline beyond it; end when there is none."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte or len(line) > MAX_LINE:
            sys.exit(1)
        line += byte
    return Launch(**json.loads(line)), bytes(line)
