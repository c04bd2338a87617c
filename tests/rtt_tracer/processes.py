"""`rtt-tracer party` as processes: what tests ask of them, and what they must not leave."""

import json
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datatoken.chain.signer import Signer
from datatoken.rounds.receipts import Delegation
from datatoken.types import Hex32
from tests.support.chain import Account, wait_until


@dataclass
class Asset:
    """One DT with its owner's node key and the settings of its party."""

    name: str
    dt: Hex32
    owner: Account
    operation: Hex32
    folder: Path
    config: Path
    node: Signer
    delegation: Delegation
    table: Mapping[str, str] | None = None

    def run_folder(self, run: str) -> Path:
        return self.folder / "state" / "runs" / run


@dataclass
class PartyProcess:
    """`rtt-tracer party` in a process of its own."""

    asset: Asset
    child: "subprocess.Popen[bytes]"
    log: Path
    run: str

    @property
    def folder(self) -> Path:
        return self.asset.run_folder(self.run)

    @property
    def status(self) -> dict[str, Any]:
        try:
            return dict(json.loads((self.folder / "status.json").read_text()))
        except FileNotFoundError:
            return {}

    @property
    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "events.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def has(self, event: str, **facts: object) -> bool:
        return any(one["event"] == event and facts.items() <= one.items() for one in self.events)

    def wait_for(self, event: str, seconds: float = 90.0, **facts: object) -> None:
        def there() -> bool:
            if self.has(event, **facts):
                return True
            assert self.child.poll() is None, self.report()
            return False

        try:
            wait_until(there, seconds)
        except AssertionError:
            raise AssertionError(f"no {event} {facts}\n{self.report()}") from None

    def wait(self, seconds: float = 120.0) -> int:
        try:
            return self.child.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"{self.asset.name} has not ended\n{self.report()}") from None

    def stop(self) -> None:
        self.child.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the supervisor alone, as the kernel would: what it started must go with it."""
        self.child.kill()

    def report(self) -> str:
        engine = self.folder / "engine.log"
        tail = engine.read_text(errors="replace")[-2500:] if engine.exists() else ""
        return (
            f"--- {self.asset.name} exit={self.child.poll()} {self.status}\n"
            f"--- log\n{self.log.read_text(errors='replace')[-3000:]}\n--- engine.log\n{tail}"
        )


def wait_all(parties: Sequence[PartyProcess], seconds: float = 150.0) -> list[int]:
    """Wait until all parties have ended; return their exit codes."""
    end = time.monotonic() + seconds
    return [party.wait(max(1.0, end - time.monotonic())) for party in parties]


def reports(parties: Sequence[PartyProcess]) -> str:
    """Return what the parties say, for a failing test."""
    return "\n".join(party.report() for party in parties)


def below(pid: int) -> list[int]:
    """Return the processes that a process has started, and theirs."""
    parents: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            parents.setdefault(parent, []).append(int(entry.name))
    found, todo = [], [pid]
    while todo:
        children = parents.get(todo.pop(), [])
        found += children
        todo += children
    return found


def left_behind(folder: Path) -> list[str]:
    """Return the processes that live in a folder, or were started for it."""
    name, found = str(folder).encode(), []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            words += str((entry / "cwd").readlink()).encode()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            continue
        if state != "Z" and name in words:
            found.append(f"{entry.name} {words[:200]!r}")
    return found


def engine_processes(party: PartyProcess) -> list[int]:
    """Return the processes below a party that run the operation: the engine's Python."""
    found = []
    for pid in below(party.child.pid):
        try:
            words = (Path("/proc") / str(pid) / "cmdline").read_bytes()
        except OSError:
            continue
        if b"from child." in words:
            found.append(pid)
    assert found, party.report()
    return found
