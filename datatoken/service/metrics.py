"""Counters in Prometheus' text format. No label ever holds what a participant sent."""

import threading
from collections import Counter
from collections.abc import Mapping

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Metrics:
    """Counts answered calls by endpoint and outcome. Thread-safe.

    Parameters
    ----------
    service : str
        Every name begins with ``datatoken_<service>_``.
    """

    def __init__(self, service: str) -> None:
        self._prefix = f"datatoken_{service}_"
        self._calls: Counter[tuple[str, str]] = Counter()
        self._lock = threading.Lock()

    def count(self, endpoint: str, outcome: str) -> None:
        """Count one call; both words come from this program's own lists."""
        with self._lock:
            self._calls[endpoint, outcome] += 1

    def text(self, gauges: Mapping[str, int]) -> str:
        """Return all metrics.

        Parameters
        ----------
        gauges : mapping of str to int
            Further values, by name without prefix.
        """
        name = f"{self._prefix}calls_total"
        lines = [f"# HELP {name} Answered calls.", f"# TYPE {name} counter"]
        with self._lock:
            calls = sorted(self._calls.items())
        for (endpoint, outcome), value in calls:
            lines.append(f'{name}{{endpoint="{endpoint}",outcome="{outcome}"}} {value}')
        for gauge, value in sorted(gauges.items()):
            lines += [f"# TYPE {self._prefix}{gauge} gauge", f"{self._prefix}{gauge} {value}"]
        return "\n".join(lines) + "\n"
