"""Several endpoints of which a quorum has to give the same answer."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from datatoken.chain.endpoints import Endpoint, Gathered, LateError, gather
from datatoken.chain.pinning import agreed
from datatoken.chain.replies import ReplyLimitError, RpcError, said, shown
from datatoken.chain.rpc import Rpc
from datatoken.errors import BadInputError, ChainUnreachableError, NodesDisagreeError

_T = TypeVar("_T", bound=Hashable)
_log = logging.getLogger(__name__)
QUIET = 1.0
"""Seconds between two warnings of one endpoint: a question may be asked again and again."""


@dataclass(frozen=True, slots=True)
class QuorumRules:
    """What an answer must have before it is believed.

    Parameters
    ----------
    quorum : int
        Endpoints that have to agree.
    chain_id : int
        Chain that every endpoint has to serve.
    max_age : float
        Seconds that a block's time and the own clock may differ.
    """

    quorum: int
    chain_id: int
    max_age: float


class Panel:
    """The endpoints, and what it takes to believe them.

    Parameters
    ----------
    urls : Sequence[str]
        Endpoints, each once.
    rules : QuorumRules
        What it takes.
    timeout : float
        Seconds for one request.
    patience : float
        Seconds that the rest gets once a quorum has answered.

    Raises
    ------
    BadInputError
        When there are fewer endpoints than have to agree.
    """

    def __init__(
        self, urls: Sequence[str], rules: QuorumRules, timeout: float, patience: float
    ) -> None:
        count = len(set(urls))
        if not 1 <= rules.quorum <= count or count < len(urls):
            raise BadInputError(
                f"{rules.quorum} endpoints have to agree, and {count} are named.",
                "Name more of them in rpc_urls, each once, or lower the quorum.",
            )
        self.rules, self.patience = rules, patience
        self.dissent: Counter[str] = Counter()
        self._warned: dict[str, float] = {}
        self.endpoints = [Endpoint(url, rules.chain_id, timeout, patience) for url in urls]

    def ask(
        self,
        work: Callable[[Endpoint, Rpc], _T],
        enough: Callable[[Mapping[str, _T]], bool],
        deadline: float,
        *,
        patience: float | None = None,
    ) -> Gathered[_T]:
        """Ask all endpoints at once; see `gather`."""
        quorum = self.rules.quorum
        return gather(self.endpoints, work, enough, deadline, quorum=quorum, patience=patience)

    def agree(
        self,
        what: str,
        work: Callable[[Endpoint, Rpc], _T],
        deadline: float,
        *,
        settled: bool = True,
        divisible: bool = False,
    ) -> _T:
        """Return the answer that a quorum gives; who says something else is noted.

        Parameters
        ----------
        settled : bool
            False where honest nodes may differ for a moment: nobody is blamed then.
        divisible : bool
            True where a smaller question may be asked instead.

        Raises
        ------
        ReplyLimitError
            When it is divisible, and may lack a quorum only because it is too large.
        NodesDisagreeError
            When enough endpoints answer, and no quorum of them alike.
        ChainUnreachableError
            When too few answer.
        """
        quorum = self.rules.quorum
        found = self.ask(work, lambda answers: agreed(answers, quorum) is not None, deadline)
        answer = agreed(found.answers, quorum)
        if answer is None and divisible and self._too_large(found):
            raise ReplyLimitError(f"The chain's endpoints do not answer {what} of this size.")
        if answer is None:
            raise self.no_quorum(what, found, settled=settled)
        if settled:
            self._note([url for url, given in found.answers.items() if given != answer], what)
        return answer

    def _too_large(self, found: Gathered[_T]) -> bool:
        """Tell whether those who refuse the question would make a quorum with the others."""
        largest = max(Counter(found.answers.values()).values(), default=0)
        refused = _count(found, (RpcError, ReplyLimitError))
        late = _count(found, (LateError, ReplyLimitError))
        quorum = self.rules.quorum
        return late >= quorum or (refused > 0 and largest + refused >= quorum)

    def enough(self, answers: Mapping[str, object]) -> bool:
        """Tell whether a quorum has answered, whatever it said."""
        return len(answers) >= self.rules.quorum

    def no_quorum(
        self, what: str, found: Gathered[Any], *, settled: bool = True
    ) -> ChainUnreachableError:
        """Return the error for a question that no quorum answers alike."""
        if not self.enough(found.answers):
            return self.too_few(what, found)
        if settled:
            self._note(found.answers, what)
        return NodesDisagreeError(
            f"Fewer than {self.rules.quorum} of the chain's {len(self.endpoints)} endpoints agree "
            f"on {what}; {len(found.answers)} answered.",
            "Find out which endpoint lies, and take it out of the deployment file.",
        )

    def too_few(self, what: str, found: Gathered[Any]) -> ChainUnreachableError:
        """Return the error for a question that too few answer."""
        why = "; ".join(f"{shown(url)}: {_told(error)}" for url, error in found.errors.items())
        return ChainUnreachableError(
            f"{len(found.answers)} of the chain's {len(self.endpoints)} endpoints answered {what}, "
            f"{self.rules.quorum} have to ({why}).",
            "Start the nodes, or correct the RPC addresses.",
        )

    def close(self) -> None:
        """Close all connections."""
        for endpoint in self.endpoints:
            endpoint.close()

    def _note(self, urls: Iterable[str], what: str) -> None:
        now = time.monotonic()
        for url in urls:
            self.dissent[url] += 1
            if now - self._warned.get(url, -QUIET) < QUIET:
                continue
            self._warned[url] = now
            _log.warning("The chain's endpoint %s contradicts others on %s.", shown(url), what)


def _told(error: Exception) -> str:
    return said(str(error)) or type(error).__name__


def _count(found: Gathered[Any], kinds: tuple[type[Exception], ...]) -> int:
    return sum(isinstance(error, kinds) for error in found.errors.values())
