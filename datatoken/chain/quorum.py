"""Reads that no single node can forge: one block, and one answer, that k of n endpoints give.

Every view call is pinned to a block that a quorum reports, by its hash, and a quorum has to
answer it alike. The block is fresh by the own clock and never older than one seen before,
also after a restart.
"""

import json
import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

from datatoken.chain.bound_logs import agreed_logs
from datatoken.chain.endpoints import Answer, Endpoint
from datatoken.chain.essence import essence
from datatoken.chain.heads import Heads
from datatoken.chain.panel import Panel, QuorumRules
from datatoken.chain.pinning import Block, reached_by
from datatoken.chain.quotes import Quotes, quantity
from datatoken.chain.refusals import refused_together
from datatoken.chain.rpc import DEFAULT_TIMEOUT, Rpc, RpcError
from datatoken.chain.seen import SeenBlocks
from datatoken.errors import BadInputError, NodesDisagreeError, WrongChainError

PATIENCE = 0.5
"""Seconds that the other endpoints get once a quorum has answered; never over timeout / 4."""

_TAGS = frozenset({"latest", "safe", "finalized"})
_COUNTS = frozenset({"eth_blockNumber", "eth_getTransactionCount"})
_PRICES = frozenset({"eth_gasPrice", "eth_maxPriorityFeePerGas"})
_CALL_FIELDS = frozenset({"to", "data", "from", "gas"})
_T = TypeVar("_T", bound=Hashable)


class QuorumRpc(Rpc):
    """A JSON-RPC client for several endpoints of which a quorum has to agree. Thread-safe.

    View calls, code, receipts, logs and blocks are read by quorum; counters, prices and
    estimates by what a quorum has reached; a transaction goes to all endpoints. No answer to
    an `eth_` method comes from one endpoint alone.

    Parameters
    ----------
    urls : Sequence[str]
        Endpoints.
    rules : QuorumRules
        When to believe them.
    seen : SeenBlocks
        The newest blocks seen so far.
    timeout : float
        Seconds for one read, whatever the endpoints do.
    clock : callable
        Returns Unix time in seconds.

    Raises
    ------
    BadInputError
        When there are fewer endpoints than have to agree.
    """

    def __init__(
        self,
        urls: Sequence[str],
        rules: QuorumRules,
        seen: SeenBlocks,
        timeout: float = DEFAULT_TIMEOUT,
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        super().__init__(urls, timeout)
        self.rules = rules
        self._panel = Panel(self.urls, rules, timeout, min(PATIENCE, timeout / 4))
        self._heads = Heads(self._panel, seen, clock)
        self._quotes = Quotes(self._panel, self._call)

    @property
    def calls(self) -> int:
        """Return how many requests went out, to all endpoints together."""
        return self._calls + sum(one.rpc.calls for one in self._panel.endpoints)

    @property
    def answered_by(self) -> str | None:
        """Return who answers: the quorum, whose members compare the chain id themselves."""
        return f"{self.rules.quorum} of {len(self.urls)} endpoints"

    @property
    def dissent(self) -> Mapping[str, int]:
        """Return how often each endpoint contradicted the others."""
        return dict(self._panel.dissent)

    def pin(self, tag: str = "latest") -> Block:
        """Return the newest block that a quorum reports: fresh, and not older than one seen.

        Raises
        ------
        NodesDisagreeError
            When the endpoints show different blocks.
        StaleViewError
            When the block's time is too far from the own clock.
        RolledBackViewError
            When a newer block was seen before.
        ChainUnreachableError
            When too few endpoints answer.
        """
        return self._heads.pin(tag, self._deadline())

    def eth_call(
        self,
        to: str,
        data: bytes,
        *,
        block: str | Mapping[str, Any] = "latest",
        gas: int | None = None,
        sender: str | None = None,
    ) -> bytes:
        """Call a view function at one block that a quorum has, and return what a quorum answers.

        Raises
        ------
        RpcError
            When the contract reverts; `data` is what it reverted with.
        ChainUnreachableError
            As `pin`, and when no quorum agrees on the answer.
        """
        if not isinstance(block, str):
            raise BadInputError("A quorum pins blocks itself; name a tag or a number.")
        fields = {"gas": gas, "sender": sender}
        return self._view(
            lambda endpoint, rpc, at: endpoint.call(rpc, to, data, at, fields),
            block,
            self._deadline(),
        )

    def each(self, what: str, work: Callable[[Rpc], _T]) -> _T:
        """Return what a quorum of endpoints say alike, each asked several things by itself.

        Two answers of two quorums prove nothing together: another endpoint may be in each.

        Parameters
        ----------
        what : str
            The question, for people.
        work : Callable
            Asks one endpoint.

        Raises
        ------
        NodesDisagreeError
            When no quorum says the same.
        ChainUnreachableError
            When too few answer.
        """
        deadline = self._deadline()
        return self._panel.agree(what, lambda _, rpc: work(rpc), deadline, settled=False)

    def _view(
        self, call: Callable[[Endpoint, Rpc, Block], Answer], named: str, deadline: float
    ) -> bytes:
        def ask(at: Block) -> Answer:
            return self._panel.agree(
                "a view call", lambda endpoint, rpc: call(endpoint, rpc, at), deadline
            )

        answer = self._heads.persist_at(lambda: self._block(named, deadline), ask, deadline)
        if answer.error is not None:
            raise answer.error
        return answer.content

    def _call(self, fields: Mapping[str, Any], named: str, deadline: float) -> bytes:
        """Run a call that is given as JSON-RPC's fields; without a receiver it makes a contract."""
        if "to" not in fields or not fields.keys() <= _CALL_FIELDS:
            return self._view(lambda _, rpc, at: _raw_call(rpc, fields, at), named, deadline)
        gas = fields.get("gas")
        named_fields = {"gas": None if gas is None else int(gas, 16), "sender": fields.get("from")}
        data = bytes.fromhex(fields.get("data", "0x")[2:])
        return self._view(
            lambda endpoint, rpc, at: endpoint.call(rpc, fields["to"], data, at, named_fields),
            named,
            deadline,
        )

    def _block(self, named: str, deadline: float) -> Block:
        if named in _TAGS:
            return self._heads.pin(named, deadline)
        if not isinstance(named, str) or not named.startswith("0x"):
            raise BadInputError("A quorum pins blocks itself; name a tag or a number.")
        return self._heads.at(int(named, 16), deadline)

    def request(self, method: str, params: Sequence[Any] = ()) -> Any:
        """Send one request and return its result; which of them need a quorum, see the class."""
        deadline = self._deadline()
        if method == "eth_sendRawTransaction":
            return self._send(params, deadline)
        if method in _COUNTS:
            return hex(self._reached(method, params, deadline))
        if method in _PRICES:
            return hex(self._quotes.price(method, params, deadline))
        if method == "eth_estimateGas":
            return hex(self._quotes.estimate(params, deadline))
        if method == "eth_call":
            return "0x" + self._call(params[0], params[1], deadline).hex()
        if method == "eth_chainId":
            return hex(self.chain_id())
        if not method.startswith("eth_"):
            return super().request(method, params)  # a local chain's own methods
        if method == "eth_getBlockByNumber" and params[0] in _TAGS:
            params = [hex(self._heads.pin(params[0], deadline).number), False]
        if method == "eth_getLogs":
            return agreed_logs(self._panel, self._heads, params, deadline)
        return self._agreed(method, params, deadline)

    def chain_id(self) -> int:
        """Return the chain id that a quorum serves."""
        self.verify_chain(self.rules.chain_id)
        return self.rules.chain_id

    def verify_chain(self, chain_id: int) -> None:
        """Refuse endpoints of another chain; see `Rpc.verify_chain`."""
        panel = self._panel
        found = panel.ask(lambda _, rpc: rpc.chain_id(), panel.enough, self._deadline())
        wrong = [error for error in found.errors.values() if isinstance(error, WrongChainError)]
        if chain_id != self.rules.chain_id:
            raise WrongChainError(
                f"The endpoints are of chain {self.rules.chain_id}, not {chain_id}.",
                "Correct the RPC addresses, or choose the profile of that chain.",
            )
        if not panel.enough(found.answers):
            raise wrong[0] if wrong else panel.too_few("eth_chainId", found)

    def close(self) -> None:
        """Close the kept-alive connections."""
        self._panel.close()
        super().close()

    def _deadline(self) -> float:
        return time.monotonic() + self.timeout

    def _agreed(self, method: str, params: Sequence[Any], deadline: float) -> Any:
        """Return what a quorum answers; a receipt that no quorum has yet is not there yet."""
        settled = method != "eth_getTransactionReceipt"
        try:
            text = self._panel.agree(
                method,
                lambda _, rpc: essence(method, rpc.request(method, params)),
                deadline,
                settled=settled,
            )
        except NodesDisagreeError:
            if settled:
                raise
            return None
        return json.loads(text)

    def _reached(self, method: str, params: Sequence[Any], deadline: float) -> int:
        """Return a number that only grows, as far as a quorum has got."""
        found = self._panel.ask(
            lambda _, rpc: quantity(method, rpc.request(method, params)),
            lambda answers: False,
            deadline,
            patience=self._panel.patience,
        )
        if not self._panel.enough(found.answers):
            raise self._panel.too_few(method, found)
        return reached_by(list(found.answers.values()), self.rules.quorum)

    def _send(self, params: Sequence[Any], deadline: float) -> Any:
        """Give a transaction to all endpoints; one that takes it is enough.

        A refusal counts only from a quorum that means the same: one node's word must not make
        us sign it anew, nor one node's word added to another's that is merely busy.
        """
        method = "eth_sendRawTransaction"
        found = self._panel.ask(lambda _, rpc: str(rpc.request(method, params)), bool, deadline)
        if found.answers:
            return next(iter(found.answers.values()))
        refusal = refused_together(found.errors.values(), len(self.urls), self.rules.quorum)
        raise refusal or self._panel.too_few(method, found)


def _raw_call(rpc: Rpc, fields: Mapping[str, Any], at: Block) -> Answer:
    try:
        return Answer(bytes.fromhex(rpc.request("eth_call", [fields, hex(at.number)])[2:]))
    except RpcError as error:
        if not error.reverted:
            raise
        return Answer(b"", error.data, reverted=True, error=error)
