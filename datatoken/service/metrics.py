"""Counters in Prometheus' text format. No label ever holds what a participant sent."""

import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram's buckets, in seconds."""


class Histogram:
    """How long something took. Not thread-safe: `Metrics` holds the lock."""

    def __init__(self) -> None:
        self._counts, self._sum = [0] * (len(BUCKETS) + 1), 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(BUCKETS, seconds)] += 1
        self._sum += seconds

    def lines(self, name: str) -> list[str]:
        """Return it in Prometheus' text format."""
        found, below = [f"# TYPE {name} histogram"], 0
        for bound, count in zip([*map(str, BUCKETS), "+Inf"], self._counts, strict=True):
            below += count
            found.append(f'{name}_bucket{{le="{bound}"}} {below}')
        return [*found, f"{name}_sum {self._sum:.6f}", f"{name}_count {below}"]


def gauge(name: str, labels: tuple[str, str], values: Mapping[tuple[str, str], int]) -> list[str]:
    """Return the lines of values by two labels, which are this program's own words."""
    first, second = labels
    return [
        f"# TYPE {name} gauge",
        *(f'{name}{{{first}="{a}",{second}="{b}"}} {n}' for (a, b), n in sorted(values.items())),
    ]


class Metrics:
    """Counts by two labels (by default calls by endpoint and outcome). Thread-safe.

    Parameters
    ----------
    service : str
        Every name begins with ``datatoken_<service>_``.
    counted : str
        What is counted.
    labels : tuple of str
        Names of the two labels; their values are this program's own words, a fixed set.
    meaning : str
        A line of help.
    """

    def __init__(
        self,
        service: str,
        counted: str = "calls",
        labels: tuple[str, str] = ("endpoint", "outcome"),
        meaning: str = "Answered calls.",
    ) -> None:
        self._prefix = f"datatoken_{service}_"
        self._counted, self._labels, self._meaning = counted, labels, meaning
        self._calls: Counter[tuple[str, str]] = Counter()
        self._plain: Counter[str] = Counter()
        self._seconds: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    def count(self, endpoint: str, outcome: str) -> None:
        """Count one call; both words come from this program's own lists."""
        with self._lock:
            self._calls[endpoint, outcome] += 1

    def bump(self, name: str) -> None:
        """Count one of something that has no labels."""
        with self._lock:
            self._plain[name] += 1

    def observe(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        with self._lock:
            self._seconds.setdefault(name, Histogram()).observe(seconds)

    def text(self, gauges: Mapping[str, int | float], more: Sequence[str] = ()) -> str:
        """Return all metrics.

        Parameters
        ----------
        gauges : mapping of str to number
            Further values, by name without prefix.
        more : sequence of str
            Lines that are added as they are (`gauge`).
        """
        name = f"{self._prefix}{self._counted}_total"
        lines = [f"# HELP {name} {self._meaning}", f"# TYPE {name} counter"]
        first, second = self._labels
        with self._lock:
            for (one, other), value in sorted(self._calls.items()):
                lines.append(f'{name}{{{first}="{one}",{second}="{other}"}} {value}')
            for plain, value in sorted(self._plain.items()):
                total = f"{self._prefix}{plain}_total"
                lines += [f"# TYPE {total} counter", f"{total} {value}"]
            for timed, histogram in sorted(self._seconds.items()):
                lines += histogram.lines(f"{self._prefix}{timed}_seconds")
        for gauge, number in sorted(gauges.items()):
            lines += [f"# TYPE {self._prefix}{gauge} gauge", f"{self._prefix}{gauge} {number}"]
        return "\n".join([*lines, *more]) + "\n"
