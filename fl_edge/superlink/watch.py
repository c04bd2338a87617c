"""What the SuperLink sees of rounds: who was asked for what, who answered, who refused.

It works for an app whose author never heard of us: everything is read from the messages that
pass. How many members get equal content is told to the recorder, which then need not wait for
its time-out. What counts as one round is the gate's to say (`SuperLinkGate.release`).
"""

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field

from datatoken.errors import BadInputError
from datatoken.types import Hex32, MessageKind
from fl_edge.messages.digest import content_digest
from fl_edge.messages.envelope import open_message
from fl_edge.superlink.gate import Outgoing

MAX_KEPT = 256

Fetch = Callable[[str], bytes | None]
"""Returns the bytes of an object that the SuperLink holds."""


@dataclass(frozen=True, slots=True)
class Named:
    """A round as the SuperLink names it: `expected` receipts under run, kind and input."""

    run: int
    kind: MessageKind
    input: Hex32
    expected: int


@dataclass(frozen=True, slots=True)
class Shortfall:
    """A round in which fewer members contributed than the terms ask for."""

    kind: MessageKind
    contributed: int
    sent: int
    minimum: int
    reasons: tuple[str, ...]


@dataclass
class _Round:
    """Messages of one round, by message id."""

    run: int
    kind: MessageKind
    contents: dict[str, str] = field(default_factory=dict)
    """Message id → object id of its records."""
    objects: dict[str, set[str]] = field(default_factory=dict)
    missing: set[str] = field(default_factory=set)
    inputs: dict[str, Hex32 | None] = field(default_factory=dict)
    """Object id of the records → canonical digest; None for what is malformed."""
    answered: dict[str, bool] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)

    def named(self) -> list[Named]:
        """Return one entry for each content: the members that have reported or still may."""
        found = []
        for content, digest in self.inputs.items():
            ids = [message for message, records in self.contents.items() if records == content]
            expected = sum(self.answered.get(message, True) for message in ids)
            if expected and digest is not None:
                found.append(Named(self.run, self.kind, digest, expected))
        return found


class RoundWatch:
    """Follows every message of governed runs, both ways.

    Parameters
    ----------
    name : callable
        Called with a `Named`, again whenever the expected number changes. Must not block.
    """

    def __init__(self, name: Callable[[Named], None]) -> None:
        self._name = name
        self._rounds: OrderedDict[int, _Round] = OrderedDict()
        self._by_message: dict[str, _Round] = {}
        self._waiting: dict[str, list[_Round]] = {}
        self._lock = threading.RLock()

    def sent(
        self,
        number: int,
        message_id: str,
        message: Outgoing,
        objects: set[str],
        missing: set[str],
        fetch: Fetch,
    ) -> None:
        """Note a message of round `number` that was stored; `missing` objects are still to come."""
        with self._lock:
            found = self._rounds.setdefault(number, _Round(message.run, message.kind))
            found.contents[message_id] = message.content
            found.objects[message_id] = objects
            found.missing |= missing
            self._by_message[message_id] = found
            for object_id in missing:
                self._waiting.setdefault(object_id, []).append(found)
            self._forget_old()
            self._settle(found, fetch)

    def stored(self, object_id: str, fetch: Fetch) -> None:
        """Note an object that has arrived."""
        with self._lock:
            for found in self._waiting.pop(object_id, []):
                found.missing.discard(object_id)
                self._settle(found, fetch)

    def replied(self, message_id: str, error: str | None) -> None:
        """Note the answer to a message: None, or why there is none."""
        with self._lock:
            found = self._by_message.get(message_id)
            if found is None or message_id in found.answered:
                return
            found.answered[message_id] = error is None
            if error is not None:
                found.reasons.append(error)
                for named in found.named():
                    self._name(named)

    def shortfall(self, run: int, minimum: int, *, finished: bool) -> Shortfall | None:
        """Return a round of a run in which fewer than `minimum` members contributed.

        Parameters
        ----------
        finished : bool
            Whether a message without an answer counts as none; before, it may still come.
        """
        with self._lock:
            for found in self._rounds.values():
                contributed = sum(found.answered.values())
                over = finished or len(found.answered) == len(found.contents)
                if found.run == run and over and contributed < minimum:
                    sent = len(found.contents)
                    return Shortfall(found.kind, contributed, sent, minimum, tuple(found.reasons))
            return None

    def _settle(self, found: _Round, fetch: Fetch) -> None:
        """Name a round once all objects that were announced for it are here."""
        if found.missing:
            return
        for message_id, content in found.contents.items():
            if content not in found.inputs:
                found.inputs[content] = _digest(message_id, found.objects[message_id], fetch)
        found.objects.clear()  # needed no more, and many
        for named in found.named():
            self._name(named)

    def _forget_old(self) -> None:
        while len(self._rounds) > MAX_KEPT:
            _, old = self._rounds.popitem(last=False)
            for message_id in old.contents:
                self._by_message.pop(message_id, None)
            for object_id in old.missing:
                self._waiting.pop(object_id, None)


def _digest(message_id: str, objects: set[str], fetch: Fetch) -> Hex32 | None:
    """Return the canonical digest of a message's records, None when it is malformed."""
    contents = {object_id: fetch(object_id) for object_id in objects}
    found = {object_id: content for object_id, content in contents.items() if content}
    try:
        return content_digest(open_message(found, objects, message_id).content)
    except BadInputError:
        return None
