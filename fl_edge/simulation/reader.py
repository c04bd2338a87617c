"""The chain as all gates of a simulation see it: one look for a round, at the server and below."""

from datatoken.authorization.gate import Reader
from datatoken.authorization.view import ChainState, Check
from datatoken.types import Hex32


class RoundReader:
    """Answers `check` once a round; whoever reads anew in bulk is not held back.

    Parameters
    ----------
    inner : Reader
    """

    def __init__(self, inner: Reader) -> None:
        self.network = inner.network
        self._inner = inner
        self._checks: dict[Hex32, Check] = {}

    def next_round(self) -> None:
        """Look again from here on."""
        self._checks.clear()

    def check(self, job: Hex32) -> Check:
        """Return counter, status, head, block and time as of this round."""
        if job not in self._checks:
            self._checks[job] = self._inner.check(job)
        return self._checks[job]

    def snapshot(
        self, job: Hex32, edges: list[tuple[Hex32, Hex32]], operations: list[Hex32]
    ) -> ChainState:
        """Return everything that a decision reads, as of now."""
        return self._inner.snapshot(job, edges, operations)
