"""Counters for Prometheus. No label ever holds what a participant sent."""

import threading
from collections.abc import Iterator, Mapping, Sequence

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily, Metric

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of a histogram's buckets, in seconds."""

disable_created_metrics()  # type: ignore[no-untyped-call] # when a counter began is when its process did


def gauge(name: str, labels: tuple[str, str], values: Mapping[tuple[str, str], int]) -> Metric:
    """Return values by two labels, which are this program's own words."""
    found = GaugeMetricFamily(name, name, labels=labels)
    for pair, value in sorted(values.items()):
        found.add_metric(pair, value)
    return found


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
        self._registry = CollectorRegistry()
        self._calls = Counter(self._prefix + counted, meaning, labels, registry=self._registry)
        self._plain: dict[str, Counter] = {}
        self._seconds: dict[str, Histogram] = {}
        self._lock = threading.Lock()

    def count(self, endpoint: str, outcome: str) -> None:
        """Count one call; both words come from this program's own lists."""
        self._calls.labels(endpoint, outcome).inc()

    def bump(self, name: str) -> None:
        """Count one of something that has no labels."""
        with self._lock:
            if name not in self._plain:
                full = self._prefix + name
                self._plain[name] = Counter(full, full, registry=self._registry)
        self._plain[name].inc()

    def observe(self, name: str, seconds: float) -> None:
        """Note how long something took."""
        with self._lock:
            if name not in self._seconds:
                full = f"{self._prefix}{name}_seconds"
                self._seconds[name] = Histogram(
                    full, full, buckets=BUCKETS, registry=self._registry
                )
        self._seconds[name].observe(seconds)

    def text(self, gauges: Mapping[str, int | float], more: Sequence[Metric] = ()) -> str:
        """Return all metrics in Prometheus' text format.

        Parameters
        ----------
        gauges : mapping of str to number
            Further values, by name without prefix.
        more : sequence of Metric
            Further ones (`gauge`).
        """
        now = CollectorRegistry()
        now.register(_Looked([*self._gauges(gauges), *more]))
        return (generate_latest(self._registry) + generate_latest(now)).decode()

    def _gauges(self, values: Mapping[str, int | float]) -> Iterator[Metric]:
        for name, value in sorted(values.items()):
            yield GaugeMetricFamily(self._prefix + name, self._prefix + name, value=value)


class _Looked:
    """What was looked up for one answer."""

    def __init__(self, found: Sequence[Metric]) -> None:
        self._found = found

    def collect(self) -> Sequence[Metric]:
        """Return it."""
        return self._found
