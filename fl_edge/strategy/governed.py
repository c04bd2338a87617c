"""A strategy under the owners' terms: plain FedAvg silently goes on with whoever is left.

`GovernedStrategy` wraps any `flwr.serverapp.strategy.Strategy`. It passes the five abstract
methods on, inherits `start`, and ends the run loudly when fewer owners contribute than the terms
ask for.
"""

from collections.abc import Callable, Iterable
from logging import INFO
from typing import Any, Protocol

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord
from flwr.serverapp import Grid
from flwr.serverapp.strategy import Strategy
from flwr.serverapp.strategy.result import Result
from flwr.supercore import log

from datatoken.authorization.reasons import Reason, Refused
from datatoken.errors import BadInputError
from datatoken.types import Hex32, MessageKind
from fl_edge.messages.digest import record_digest
from fl_edge.strategy.shortfall import too_few
from fl_edge.strategy.spool import Claim

_plain_start = Strategy.start


class Claims(Protocol):
    """Where a strategy's claims go (`fl_edge.strategy.spool.Spool`)."""

    def put_claim(self, claim: Claim, arrays: ArrayRecord) -> None:
        """Keep a claim and the aggregate that it names."""
        ...


class GovernedStrategy(Strategy):
    """Wraps a strategy: who contributes is counted, and what it makes is named.

    Parameters
    ----------
    inner : Strategy
        Any strategy that leaves `start` as it is.
    min_participants : int
        Members that have to contribute to every round.
    claims : Claims, optional
        Where the aggregate's digest and the number of contributions are written.
    offset : int
        Rounds that an earlier run of the job has done.

    Raises
    ------
    BadInputError
        For a strategy that overrides `start`: its rounds can't be followed.
    """

    def __init__(
        self,
        inner: Strategy,
        *,
        min_participants: int,
        claims: Claims | None = None,
        offset: int = 0,
    ) -> None:
        if not inherits_start(inner):
            raise BadInputError(
                f"{type(inner).__name__} overrides Strategy.start; its rounds can't be followed.",
                "Override the five abstract methods of a strategy only.",
            )
        self.inner, self.min_participants = inner, min_participants
        self._claims, self._offset = claims, offset
        self._inputs: dict[MessageKind, Hex32] = {}
        self._sent: dict[MessageKind, int] = {}

    def __getattr__(self, name: str) -> Any:
        """Return what the wrapped strategy has, such as ``fraction_train``."""
        if name == "inner":
            raise AttributeError(name)
        return getattr(self.inner, name)

    def summary(self) -> None:
        """Log the wrapped strategy's summary and the terms."""
        self.inner.summary()
        log(INFO, "\t└──> Governed: at least %d owners a round", self.min_participants)

    def start(
        self,
        grid: Grid,
        initial_arrays: ArrayRecord,
        num_rounds: int = 3,
        timeout: float = 3600,
        train_config: ConfigRecord | None = None,
        evaluate_config: ConfigRecord | None = None,
        evaluate_fn: Callable[[int, ArrayRecord], MetricRecord | None] | None = None,
    ) -> Result:
        """Run the rounds that are left of `num_rounds`; see `Strategy.start`."""
        left = max(0, num_rounds - self._offset)
        if self._offset:
            log(INFO, "Going on after round %d: %d rounds are left", self._offset, left)
        central = evaluate_fn

        def evaluate(number: int, arrays: ArrayRecord) -> MetricRecord | None:
            return central(number + self._offset, arrays) if central else None

        return _plain_start(
            self,
            grid,
            initial_arrays,
            left,
            timeout,
            train_config,
            evaluate_config,
            evaluate if central else None,
        )

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages; refuse when they are too few."""
        number = server_round + self._offset
        messages = self.inner.configure_train(number, arrays, config, grid)
        return self._outgoing(MessageKind.TRAIN, messages)

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        """Aggregate once enough owners have contributed; name the result."""
        found = self._incoming(MessageKind.TRAIN, replies)
        number = server_round + self._offset
        arrays, metrics = self.inner.aggregate_train(number, found)
        if arrays is not None:
            self._claim(number, found, arrays)
        return arrays, metrics

    def configure_evaluate(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        """Return the wrapped strategy's messages; refuse when they are too few."""
        number = server_round + self._offset
        messages = self.inner.configure_evaluate(number, arrays, config, grid)
        return self._outgoing(MessageKind.EVALUATE, messages)

    def aggregate_evaluate(
        self, server_round: int, replies: Iterable[Message]
    ) -> MetricRecord | None:
        """Aggregate once enough owners have answered."""
        found = self._incoming(MessageKind.EVALUATE, replies)
        number = server_round + self._offset
        return self.inner.aggregate_evaluate(number, found)

    def _outgoing(self, kind: MessageKind, messages: Iterable[Message]) -> list[Message]:
        found = list(messages)
        self._sent[kind] = len(found)
        self._inputs.pop(kind, None)
        if not found:
            return found
        if len(found) < self.min_participants:
            raise Refused(
                Reason.TOO_FEW_PARTICIPANTS,
                f"{len(found)} owners were asked for a {kind.value} round; "
                f"the terms ask for {self.min_participants}.",
            )
        if len({id(message.content) for message in found}) == 1:
            self._inputs[kind] = record_digest(found[0].content)
        return found

    def _incoming(self, kind: MessageKind, replies: Iterable[Message]) -> list[Message]:
        """Return all replies; raise when fewer owners contributed than the terms ask for."""
        found = list(replies)
        sent = self._sent.get(kind, 0)
        contributed = sum(not message.has_error() for message in found)
        if sent and contributed < self.min_participants:
            reasons = [str(m.error.reason) for m in found if m.has_error()]
            reasons += ["no reply before the time-out"] * (sent - len(found))
            raise too_few(kind, contributed, sent, self.min_participants, reasons)
        return found

    def _claim(self, number: int, replies: list[Message], arrays: ArrayRecord) -> None:
        """Name the aggregate, where the members' input was one and the same."""
        contributed = sum(not message.has_error() for message in replies)
        digest = self._inputs.get(MessageKind.TRAIN)
        if self._claims is None or digest is None or not contributed:
            return
        claim = Claim(
            kind=MessageKind.TRAIN,
            input=digest,
            expected=contributed,
            sent=self._sent[MessageKind.TRAIN],
            round=number,
        )
        self._claims.put_claim(claim, arrays)


def inherits_start(strategy: Strategy) -> bool:
    """Tell whether a strategy leaves `start` as flwr (or this package) defines it."""
    start = type(strategy).start
    return start is _plain_start or getattr(start, "governs", False) is True
