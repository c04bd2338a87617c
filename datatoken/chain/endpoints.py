"""Several endpoints asked at once; a slow or dead one holds up nobody but itself."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from dataclasses import dataclass, field
from functools import partial
from queue import SimpleQueue
from typing import Any, Generic, TypeVar

from datatoken.chain.pinning import Block, parse_block
from datatoken.chain.replies import shown
from datatoken.chain.rpc import Rpc, RpcError, refuse_other_chain
from datatoken.errors import ChainUnreachableError, DataTokenError

THREADS = 4
"""Questions that one endpoint works at; more of them wait."""
MOST_WAITING = 16

_T = TypeVar("_T")
_Job = tuple[Callable[[Rpc], Any], "Future[Any]"]


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
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._lock = threading.Lock()
        self._threads = self._waiting = 0
        self._closed = False

    def ask(self, work: Callable[[Rpc], _T]) -> "Future[_T]":
        """Have `work` done in a thread of this endpoint's; errors come with the future."""
        future: Future[_T] = Future()
        with self._lock:
            if self._closed or self._waiting >= MOST_WAITING:
                future.set_exception(ChainUnreachableError(f"{self.url} is busy."))
                return future
            self._waiting += 1
            if self._threads < min(THREADS, self._waiting):
                self._threads += 1
                # A daemon: a node that hangs must not keep a command from ending.
                threading.Thread(target=self._work, daemon=True).start()
        self._jobs.put((work, future))
        return future

    def _work(self) -> None:
        while True:
            job = self._jobs.get()
            if job is None:
                return
            work, future = job
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
        with self._lock:
            self._waiting -= 1
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
        with self._lock:
            self._closed = True
            threads = self._threads
        for _ in range(threads):
            self._jobs.put(None)
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
    asked: dict[Future[_T], Endpoint] = {}
    for endpoint in endpoints:
        asked[endpoint.ask(partial(work, endpoint))] = endpoint
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
        found.errors[asked[future].url] = ChainUnreachableError("no answer in time")
    return found


def _take(found: Gathered[_T], url: str, future: "Future[_T]") -> None:
    error = future.exception()
    if error is None:
        found.answers[url] = future.result()
    elif isinstance(error, Exception):
        found.errors[url] = error
    else:
        raise error
