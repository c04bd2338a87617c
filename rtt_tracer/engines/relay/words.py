"""What the relays of a Rosetta run say to each other before, during and after it.

First everybody says hello: what is wanted of the run, which must be the same at all parties,
and what is a party's own. Then nothing, until a party has ``done`` its work: nobody closes
Rosetta before all have. A connection that ends earlier is a peer that is lost: Rosetta itself
would wait for it for ever.
"""

import contextlib
import json
import queue
import secrets
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Protocol

MAX_WORD = 256 * 1024
PEER_MISSING, PEER_LOST = "PEER_MISSING", "PEER_LOST"
CERTIFICATE_REFUSED, PREFLIGHT_MISMATCH = "CERTIFICATE_REFUSED", "PREFLIGHT_MISMATCH"
HOLDERS = (0, 1)
"""Ranks that hold shares, and share a secret with which they make their outputs' anew."""
SHOWN = 80


class Wire(Protocol):
    """A connected socket."""

    def recv(self, size: int, /) -> bytes:
        """Return bytes, none at the end."""
        ...

    def sendall(self, content: bytes, /) -> None:
        """Send all of it."""
        ...


class Words:
    """JSON objects on a connection, one a line."""

    def __init__(self, wire: Wire, first: bytes = b"") -> None:
        self._wire, self._rest = wire, first
        self._lock = threading.Lock()

    def say(self, word: Mapping[str, Any]) -> None:
        """Say one word; raise `OSError`."""
        with self._lock:
            self._wire.sendall(json.dumps(word).encode() + b"\n")

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield words until the connection ends; raise `OSError`, `ValueError`, `TypeError`."""
        while True:
            while b"\n" in self._rest:
                line, _, self._rest = self._rest.partition(b"\n")
                word = json.loads(line)
                if not isinstance(word, dict):
                    raise TypeError("no object")
                yield word
            if len(self._rest) > MAX_WORD:
                raise ValueError("too long")
            chunk = self._wire.recv(65536)
            if not chunk:
                return
            self._rest += chunk


class Meeting:
    """Who is there, whether all want the same, and who has done its work.

    Parameters
    ----------
    rank : int
    hello : mapping
        ``same``: what must be equal at all parties; ``input``: index among the input
        parties, or None; ``inputs``: how many of these there are.
    peers : sequence of int

    Attributes
    ----------
    news : Queue
        Words for the own process: ``linked`` once, then ``done`` or ``failed``.
    """

    def __init__(self, rank: int, hello: Mapping[str, Any], peers: Sequence[int]) -> None:
        self.news: queue.Queue[dict[str, Any]] = queue.Queue()
        self._rank, self._hello, self._peers = rank, hello, tuple(peers)
        self._lock = threading.RLock()
        self._words: dict[int, Words] = {}
        self._inputs: dict[int, Any] = {rank: hello["input"]}
        self._done: set[int] = set()
        self._over = False
        self._mask = secrets.token_hex(32) if rank == HOLDERS[0] else ""

    @property
    def lacking(self) -> list[int]:
        """Ranks that have not said hello."""
        with self._lock:
            return [rank for rank in self._peers if rank not in self._inputs]

    def join(self, rank: int, words: Words) -> bool:
        """Greet a peer; only its first connection counts."""
        with self._lock:
            if rank in self._words:
                return False
            self._words[rank] = words
        hello = {"same": self._hello["same"], "input": self._hello["input"]}
        if (self._rank, rank) == HOLDERS:
            hello["mask"] = self._mask
        with contextlib.suppress(OSError):
            words.say({"hello": hello})
        return True

    def heard(self, rank: int, word: Mapping[str, Any]) -> None:
        """Take a peer's word."""
        if "hello" in word:
            self._greeted(rank, word["hello"])
        elif "failed" in word:
            code = str(word["failed"])[:64]
            known = code if code in (PREFLIGHT_MISMATCH, PEER_MISSING) else PEER_LOST
            self.fail(known, f"rank {rank} has stopped: {code}")
        elif "done" in word:
            self._finished(rank)

    def gone(self, rank: int, why: str) -> None:
        """Take note that a peer's connection has ended."""
        with self._lock:
            early = rank not in self._done
        if early:
            self.fail(PEER_LOST, why)

    def done(self) -> None:
        """Tell all peers that the own work is done."""
        self._tell({"done": 1})
        self._finished(self._rank)

    def leave(self) -> None:
        """Tell the peers that the own process has ended, unless all is done."""
        with self._lock:
            early = self._rank not in self._done
        if early:
            self.fail("ENGINE_EXITED", "the own process has ended")

    def fail(self, code: str, message: str) -> None:
        """End the meeting: the first reason counts."""
        with self._lock:
            if self._over:
                return
            self._over = True
        self.news.put({"failed": code, "message": message})
        self._tell({"failed": code})

    def _greeted(self, rank: int, hello: Mapping[str, Any]) -> None:
        found = differences(self._hello["same"], hello["same"])
        if found:
            self.fail(PREFLIGHT_MISMATCH, f"rank {rank} has another {found}")
            return
        with self._lock:
            if rank in self._inputs:
                return
            self._inputs[rank] = hello["input"]
            if (rank, self._rank) == HOLDERS:
                self._mask = str(hello["mask"])
            if self._over or self.lacking:
                return
        claimed = sorted(index for index in self._inputs.values() if index is not None)
        if claimed != list(range(self._hello["inputs"])):
            self.fail(PREFLIGHT_MISMATCH, "two parties claim one place among those with rows")
            return
        inputs = {str(one): index for one, index in self._inputs.items() if index is not None}
        mask = self._mask if self._rank in HOLDERS else ""
        self.news.put({"linked": {"inputs": inputs, "mask": mask}})

    def _finished(self, rank: int) -> None:
        with self._lock:
            self._done.add(rank)
            if self._over or len(self._done) <= len(self._peers):
                return
            self._over = True
        self.news.put({"done": 1})

    def _tell(self, word: Mapping[str, Any]) -> None:
        with self._lock:
            known = list(self._words.values())
        for words in known:
            with contextlib.suppress(OSError):
                words.say(word)


def differences(mine: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Return what differs, in words; empty when nothing does."""
    found = [
        f"{name} ({_short(other.get(name))}, not {_short(mine.get(name))})"
        for name in sorted({*mine, *other})
        if mine.get(name) != other.get(name)
    ]
    return "; ".join(found)


def _short(value: object) -> str:
    return str(value)[:SHOWN]
