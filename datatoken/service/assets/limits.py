"""How fast one account may call: a bucket of tokens each, in bounded memory."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from datatoken.service.problems import ServiceCode, ServiceError
from datatoken.types import Address

_MOST_ACCOUNTS = 4096


@dataclass(frozen=True, slots=True)
class Rate:
    """Calls a second in the long run, and at once."""

    second: float
    burst: float


READS = Rate(20.0, 100.0)
WRITES = Rate(0.5, 30.0)


class Limiter:
    """Counts calls by account. Thread-safe.

    Parameters
    ----------
    rate : Rate
    """

    def __init__(self, rate: Rate) -> None:
        self._rate = rate
        self._buckets: OrderedDict[Address, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, account: Address, now: float) -> None:
        """Count one call; raise `ServiceError` TOO_MANY when it is one too many."""
        with self._lock:
            level, at = self._buckets.pop(account, (self._rate.burst, now))
            level = min(self._rate.burst, level + max(0.0, now - at) * self._rate.second)
            self._buckets[account] = (max(0.0, level - 1), now)
            while len(self._buckets) > _MOST_ACCOUNTS:
                self._buckets.popitem(last=False)
        if level < 1:
            raise ServiceError(ServiceCode.TOO_MANY, "This account calls too often.")
