"""Several endpoints asked at once; a slow or dead one holds up nobody but itself."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

from datatoken.chain.pinning import Block, parse_block
from datatoken.chain.replies import shown
from datatoken.chain.rpc import Rpc, RpcError, refuse_other_chain
from datatoken.errors import ChainUnreachableError, DataTokenError

THREADS = 4
"""Questions that one endpoint works at; more of them wait, as long as those who ask."""

_T = TypeVar("_T")


class LateError(ChainUnreachableError):
    """An endpoint has not answered when the waiting ended."""


class Endpoint:
    """One node of several, asked in threads of its own.

    Parameters
    ----------
    url : str
        Its address.
    chain_id : int
        Chain that it has to serve; compared before its first answer and after every outage.
    timeout : float
        Seconds for one request.
    patience : float
        Seconds after which it counts as late.
    """

    def __init__(self, url: str, chain_id: int, timeout: float, patience: float) -> None:
        self.url = url
        self.rpc = Rpc(url, timeout)
        self.late = False
        self._chain_id, self._patience = chain_id, patience
        self._verified = self._hashes = False
        self._jobs: OrderedDict[Future[Any], Callable[[Rpc], Any]] = OrderedDict()
        self._ready = threading.Condition()
        self._threads = self._working = 0
        self._closed = False

    def ask(self, work: Callable[[Rpc], _T]) -> "Future[_T]":
        """Have `work` done in a thread of this endpoint's; errors come with the future.

        It waits until a thread is free; whoever waits for it no longer calls `forget`.
        """
        future: Future[_T] = Future()
        with self._ready:
            if self._closed:
                future.set_exception(ChainUnreachableError(f"{shown(self.url)} is closed."))
                return future
            self._jobs[future] = work
            if self._threads < min(THREADS, self._working + len(self._jobs)):
                self._threads += 1
                # A daemon: a node that hangs must not keep a command from ending.
                threading.Thread(target=self._work, daemon=True).start()
            self._ready.notify()
        return future

    def forget(self, future: "Future[Any]") -> None:
        """Drop a question that nobody waits for: a node that hangs must not gather them."""
        with self._ready:
            if self._jobs.pop(future, None) is not None:
                future.cancel()

    def _work(self) -> None:
        while True:
            with self._ready:
                while not self._jobs and not self._closed:
                    self._ready.wait()
                if self._closed:
                    return
                future, work = self._jobs.popitem(last=False)
                if not future.set_running_or_notify_cancel():
                    continue
                self._working += 1
            started = time.monotonic()
            try:
                result = self._done(work)
            except BaseException as error:
                self._finish(started)
                future.set_exception(error)
            else:
                self._finish(started)
                future.set_result(result)

    def _finish(self, started: float) -> None:
        with self._ready:
            self._working -= 1
        self.late = time.monotonic() - started > self._patience

    def _done(self, work: Callable[[Rpc], _T]) -> _T:
        try:
            if not self._verified:
                refuse_other_chain(self.rpc.chain_id(), self._chain_id, self.url)
                self._verified = True
            return work(self.rpc)
        except RpcError:
            raise
        except DataTokenError:
            self._verified = False  # another node may answer next time
            raise

    def call(
        self, rpc: Rpc, to: str, data: bytes, block: Block, fields: Mapping[str, Any]
    ) -> "Answer":
        """Call a view function at a block's hash; by its number where the node is too old.

        A node that does not know hashes as blocks (EIP-1898) is asked by number, and the
        number's hash afterwards.
        """
        pinned = {"blockHash": block.hash, "requireCanonical": True}
        try:
            answer = _answer(rpc, to, data, pinned, fields)
        except RpcError:
            if self._hashes:
                raise
        else:
            self._hashes = True
            return answer
        answer = _answer(rpc, to, data, hex(block.number), fields)
        if header(rpc, hex(block.number)).hash != block.hash:
            raise ChainUnreachableError(f"{shown(self.url)} has another block {block.number}.")
        return answer

    def close(self) -> None:
        """Close its connections; threads end as they come free."""
        with self._ready:
            self._closed = True
            dropped = list(self._jobs)
            self._jobs.clear()
            self._ready.notify_all()
        for future in dropped:
            future.set_exception(ChainUnreachableError(f"{shown(self.url)} is closed."))
        self.rpc.close()


@dataclass(frozen=True, slots=True)
class Answer:
    """What a view function answered: its words, or the data that it reverted with."""

    content: bytes
    revert: str | None = None
    reverted: bool = False
    error: RpcError | None = field(default=None, compare=False)


def _answer(
    rpc: Rpc, to: str, data: bytes, block: str | Mapping[str, Any], fields: Mapping[str, Any]
) -> Answer:
    try:
        return Answer(rpc.eth_call(to, data, block=block, **fields))
    except RpcError as error:
        if not error.reverted:
            raise
        return Answer(b"", error.data, reverted=True, error=error)


def header(rpc: Rpc, block: str) -> Block:
    """Return the block that an endpoint has under a tag or a number in hex."""
    return parse_block(rpc.request("eth_getBlockByNumber", [block, False]))


@dataclass
class Gathered(Generic[_T]):
    """What endpoints have answered so far, by address."""

    answers: dict[str, _T] = field(default_factory=dict)
    errors: dict[str, Exception] = field(default_factory=dict)


def gather(
    endpoints: Sequence[Endpoint],
    work: Callable[[Endpoint, Rpc], _T],
    enough: Callable[[Mapping[str, _T]], bool],
    deadline: float,
    *,
    quorum: int = 0,
    patience: float | None = None,
) -> Gathered[_T]:
    """Ask all endpoints at once, until their answers are enough or none is worth waiting for.

    Parameters
    ----------
    enough : Callable
        Tells whether the answers that are there decide the question.
    deadline : float
        Monotonic time at which the waiting ends.
    quorum, patience
        Once `quorum` have answered, the rest get `patience` seconds more, and one that was
        late the last time gets none. Without patience the deadline holds for all.
    """
    asked = {endpoint.ask(partial(work, endpoint)): endpoint for endpoint in endpoints}
    try:
        return _gathered(asked, enough, deadline, quorum, patience)
    finally:
        for future, endpoint in asked.items():
            endpoint.forget(future)


def _gathered(
    asked: "Mapping[Future[_T], Endpoint]",
    enough: Callable[[Mapping[str, _T]], bool],
    deadline: float,
    quorum: int,
    patience: float | None,
) -> Gathered[_T]:
    found: Gathered[_T] = Gathered()
    left, end = set(asked), deadline
    while left:
        if patience is not None and len(found.answers) >= quorum:
            end = min(end, time.monotonic() + patience)
            if all(asked[future].late for future in left):
                break
        done, left = wait(left, max(0.0, end - time.monotonic()), FIRST_COMPLETED)
        if not done:
            break
        for future in done:
            _take(found, asked[future].url, future)
        if enough(found.answers):
            return found
    for future in left:
        asked[future].late = True
        found.errors[asked[future].url] = LateError("no answer in time")
    return found


def _take(found: Gathered[_T], url: str, future: "Future[_T]") -> None:
    error = future.exception()
    if error is None:
        found.answers[url] = future.result()
    elif isinstance(error, Exception):
        found.errors[url] = error
    else:
        raise error
