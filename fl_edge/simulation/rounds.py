"""Rounds as the SuperLink's gate counts them, and the SuperLink's side of a simulated run.

A real SuperLink follows every message (`fl_edge.superlink.hooks`): it ends a run in which too few
owners have contributed to a round, whatever the app makes of that. So does this one.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from datatoken.authorization.reasons import Reason, Refused
from datatoken.types import MessageKind
from fl_edge.simulation.gates import Refusal
from fl_edge.strategy.shortfall import too_few
from fl_edge.superlink.gate import Outgoing, SuperLinkGate
from fl_edge.superlink.watch import RoundWatch


@dataclass(frozen=True)
class Round:
    """One round that the server has sent: train and evaluate are one each."""

    number: int
    kind: MessageKind
    sent: int
    refused: Mapping[str, int]
    seconds: float


@dataclass
class _Left:
    """A round that has left, and when."""

    kind: MessageKind
    at: float
    sent: int = 0


class Rounds:
    """What has been sent and answered, by round; safe between threads."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        """Held while messages are stored: no answer comes before its message is known."""
        self._watch = RoundWatch(lambda _: None)
        self._left: dict[int, _Left] = {}
        self._number: dict[str, int] = {}

    def left(self, numbers: Sequence[int], messages: Sequence[Outgoing]) -> None:
        """Note messages that leave now, and their rounds."""
        at = time.monotonic()
        with self.lock:
            for number, message in zip(numbers, messages, strict=True):
                self._left.setdefault(number, _Left(message.kind, at)).sent += 1

    def sent(self, number: int, message_id: str, message: Outgoing) -> None:
        """Note a message that was stored."""
        # Nothing is ever "missing no more": a simulation names no inputs for a recorder.
        self._watch.sent(number, message_id, message, set(), {message.content}, lambda _: None)
        self._number[message_id] = number

    def replied(self, message_id: str, error: str | None) -> None:
        """Note the answer to a message: None, or why there is none."""
        with self.lock:
            self._number.pop(message_id, None)
            self._watch.replied(message_id, error)

    def number_of(self, message_id: str) -> int:
        """Return the round of a message that is not answered yet, else 0."""
        with self.lock:
            return self._number.get(message_id, 0)

    def check(self, run: int, minimum: int, *, finished: bool) -> None:
        """Raise the refusal of a round to which too few owners have contributed."""
        found = self._watch.shortfall(run, minimum, finished=finished)
        if found is not None:
            raise too_few(found.kind, found.contributed, found.sent, found.minimum, found.reasons)

    def told(self, refusals: Sequence[Refusal]) -> list[Round]:
        """Return the rounds so far with what was refused in them."""
        with self.lock:
            found = list(self._left.items())
        ends = [left.at for _, left in found[1:]] + [time.monotonic()]
        refused: dict[int, Counter[str]] = {number: Counter() for number, _ in found}
        for refusal in refusals:
            if refusal.round in refused:
                refused[refusal.round][refusal.reason.value] += 1
        return [
            Round(number, left.kind, left.sent, dict(refused[number]), round(end - left.at, 3))
            for (number, left), end in zip(found, ends, strict=True)
        ]


class Desk:
    """Lets rounds go out as a SuperLink does; what it refuses once ends the run.

    Parameters
    ----------
    gate : SuperLinkGate
    rounds : Rounds
    run : int
    minimum : int
        Owners who have to contribute to every round.
    before, after : callable
        Called before and after the gate has decided on what is sent at once.
    """

    def __init__(
        self,
        gate: SuperLinkGate,
        rounds: Rounds,
        run: int,
        minimum: int,
        before: Callable[[], None],
        after: Callable[[], None],
    ) -> None:
        self.rounds, self.minimum = rounds, minimum
        self._gate, self._run, self._before, self._after = gate, run, before, after
        self._refused: Refused | None = None

    def release(self, messages: Iterable[Outgoing]) -> tuple[list[int], list[Outgoing]]:
        """Return the round's number of each message, and the messages; or none may leave.

        Raises
        ------
        Refused
            From then on always the same: a real run would be over.
        """
        self.check_refused()
        try:
            self._before()
            found = list(messages)
            numbers = [self._let_out(message) for message in found]
            self._after()
        except Refused as refusal:
            self._refused = refusal
            raise
        self.rounds.left(numbers, found)
        return numbers, found

    def check_refused(self) -> None:
        """Raise what has ended the run, also where the app has not minded."""
        if self._refused is not None:
            raise self._refused

    def finish(self) -> None:
        """Check a run whose app has come to its end; raise why it is none that is complete."""
        self.check_refused()
        self.rounds.check(self._run, self.minimum, finished=True)

    def _let_out(self, message: Outgoing) -> int:
        if not self._gate.covered(message):
            self.rounds.check(self._run, self.minimum, finished=False)
        return self._gate.release(message)


def kind_of(message_type: str) -> MessageKind:
    """Return the kind of a message; raise `Refused` as a SuperLink does."""
    category = message_type.partition(".")[0]
    if category not in {kind.value for kind in MessageKind}:
        raise Refused(Reason.MESSAGE_KIND_NOT_ANSWERED, f"{category!r} is no kind of message.")
    return MessageKind(category)
