"""Reads a run's log as flwr writes it: how far it is, who answered, what was measured. Pure.

An app writes into the same log. So nothing but numbers and the names of metrics is taken from
it, and nothing is decided by it.
"""

import ast
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from datatoken.text import clean

_COLOURS = re.compile(r"\x1b\[[0-9;]*m")
_ROUND = re.compile(r"\[ROUND (\d{1,9})/(\d{1,9})\]")
_SAMPLED = re.compile(r"configure_(train|evaluate): Sampled (\d{1,9}) nodes")
_RECEIVED = re.compile(
    r"aggregate_(train|evaluate): Received (\d{1,9}) results and (\d{1,9}) failures"
)
_METRICS = re.compile(r"└──> (Aggregated )?MetricRecord: (\{.{0,65536}\})\s*$")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,63}")
MAX_METRICS = 64
MAX_ROUNDS = 10_000
SERVER = "server"

Metrics = dict[str, int | float]


@dataclass
class LogReader:
    """What a run's log has said so far.

    Attributes
    ----------
    round, rounds : int
        0 until the app says so; an app with a loop of its own may never.
    metrics : dict
        Kind ("train", "evaluate", "server") → round → name → number.
    """

    round: int = 0
    rounds: int = 0
    metrics: dict[str, dict[int, Metrics]] = field(default_factory=dict)
    _sampled: int = 0
    _kind: str = SERVER

    def line(self, text: str) -> Iterator[tuple[str, dict[str, int]]]:
        """Take one line; yield an event where a round begins or a kind of it ends."""
        if found := _ROUND.search(text):
            self.round, self.rounds = int(found[1]), int(found[2])
            yield "round", {"round": self.round, "rounds": self.rounds}
        elif found := _SAMPLED.search(text):
            self._sampled = int(found[2])
        elif found := _RECEIVED.search(text):
            self._kind = found[1]
            answers = {"results": int(found[2]), "failures": int(found[3])}
            yield found[1], {"round": self.round, "asked": self._sampled, **answers}
            self._sampled = 0
        elif found := _METRICS.search(text):
            kind = self._kind if found[1] else SERVER
            rounds = self.metrics.setdefault(kind, {})
            if len(rounds) < MAX_ROUNDS and (numbers := _numbers(found[2])):
                rounds[self.round] = numbers


def plain(text: str) -> str:
    """Return a line without colours and without characters that a terminal would obey."""
    return clean(_COLOURS.sub("", text))


def _numbers(text: str) -> Metrics:
    """Return the numbers of a record; lists could be a model, and are left out."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return {}
    if not isinstance(found, dict):
        return {}
    numbers = {
        name: value
        for name, value in found.items()
        if isinstance(name, str)
        and _NAME.fullmatch(name)
        and isinstance(value, (int, float))
        and math.isfinite(value)
    }
    return dict(list(numbers.items())[:MAX_METRICS])
