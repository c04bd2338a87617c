"""Which isolation is in force around an operation, and which is absent and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Mechanism(StrEnum):
    """One wall between an operation and its owner's machine."""

    ENVIRONMENT = "clean environment"
    """Nothing of the supervisor's environment, files or descriptors is inherited."""
    LIMITS = "resource limits"
    """Per process by the kernel; per operation by the warden, which looks twice a second."""
    PRIVILEGES = "no privileges"
    """No capabilities, and no program can give any."""
    PROCESSES = "process namespace"
    """Sees no process but its own; the kernel ends all of them with the first."""
    ROOT = "file namespace"
    """Sees no file but its work folder, the engine and the system's libraries."""
    FILES = "file access rules"
    """Landlock: reads the engine's files, writes into its work folder."""
    NETWORK = "network"
    """No network at all, or TCP on the run's own ports only."""
    SOCKETS = "socket filter"
    """No kind of socket that the other rules do not cover (UDP, raw, vsock, …)."""
    SIGNALS = "signal scope"
    """Can't signal or inspect a process outside."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One mechanism: in force or absent, and how or why not."""

    mechanism: str
    in_force: bool
    why: str

    def __str__(self) -> str:
        """Return one line for a log."""
        return f"{self.mechanism}: {'in force' if self.in_force else 'ABSENT'} ({self.why})"


@dataclass(frozen=True, slots=True)
class IsolationReport:
    """What is in force; for logs, ``status.json`` and the service's card."""

    findings: tuple[Finding, ...] = ()

    @classmethod
    def of(cls, found: Iterable[Iterable[Any]]) -> "IsolationReport":
        """Return the report of ``[[mechanism, in force, why], …]``."""
        return cls(tuple(Finding(str(m), bool(f), str(w)) for m, f, w in found))

    @property
    def absent(self) -> tuple[Finding, ...]:
        """What this platform does not give."""
        return tuple(finding for finding in self.findings if not finding.in_force)

    def has(self, mechanism: Mechanism) -> bool:
        """Whether `mechanism` is in force."""
        return any(f.in_force and f.mechanism == mechanism for f in self.findings)

    def plain(self) -> list[dict[str, str]]:
        """Return JSON: [{mechanism, state, why}]."""
        return [
            {
                "mechanism": f.mechanism,
                "state": "in force" if f.in_force else "absent",
                "why": f.why,
            }
            for f in self.findings
        ]
