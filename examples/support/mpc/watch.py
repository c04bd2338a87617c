"""What each owner can see of its own part of a run: state files, events, the engine's log."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.support.mpc.hosts import Host
from examples.support.mpc.world import CreditWorld


@dataclass(frozen=True)
class Part:
    """One asset's part of a run, read from its owner's state folder."""

    asset: str
    folder: Path

    @property
    def status(self) -> Mapping[str, Any]:
        """What ``status.json`` says; empty before there is one."""
        path = self.folder / "status.json"
        return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}

    @property
    def events(self) -> list[dict[str, Any]]:
        """All events so far."""
        path = self.folder / "events.jsonl"
        if not path.exists():
            return []
        lines = path.read_text(encoding="utf-8").splitlines()
        return [json.loads(line) for line in lines if line.endswith("}")]

    def names(self) -> list[str]:
        """Return the names of the events, in order."""
        return [event["event"] for event in self.events]

    def metric(self, name: str) -> float:
        """Return one of the engine's figures, 0 where it gave none."""
        return float(self.status.get("metrics", {}).get(name, 0.0))


def parts_of(world: CreditWorld, run: str) -> list[Part]:
    """Return all parts of a run, in the order of the world's assets."""
    found = []
    for asset, host in _assets(world):
        folder = host.state(world.dts[asset]) / "runs" / run
        if folder.is_dir():
            found.append(Part(asset, folder))
    return found


def standing(parts: list[Part]) -> str:
    """Return how far the slowest party is before the first stage, in two or three words."""
    told = {"authorised": "parties meet", "introduced": "parties meet"}
    told |= {"agreed": "shares travel", "shares_received": "shares travel", "go": "the first stage"}
    names = list(told)
    reached = [
        max((names.index(n) for n in part.names() if n in told), default=-1) for part in parts
    ]
    slowest = min(reached, default=-1)
    return told[names[slowest]] if slowest >= 0 else "gates ask the chain"


def bytes_sent(parts: list[Part]) -> int:
    """Return what the engines of all parties have sent to each other."""
    return int(sum(part.metric("bytes_sent") for part in parts))


def training_seconds(parts: list[Part]) -> float:
    """Return the seconds of work after start-up, of the slowest party."""
    return max((part.metric("seconds") for part in parts), default=0.0)


def _assets(world: CreditWorld) -> list[tuple[str, Host]]:
    places = {dt: host for host in world.hosts.values() for dt in host.assets}
    return [(name, places[dt]) for name, dt in world.dts.items() if dt in places]
