"""Prices and gas estimates that fewer than a quorum of endpoints can't forge."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from datatoken.chain.endpoints import Gathered
from datatoken.chain.panel import Panel
from datatoken.chain.pinning import reached_by
from datatoken.chain.rpc import RpcError
from datatoken.errors import ChainUnreachableError

_WIDE = 2
"""Honest endpoints' prices and estimates are not further apart than this factor."""


def quantity(method: str, value: Any) -> int:
    """Return the number that an endpoint answered.

    Raises
    ------
    ChainUnreachableError
        When it is none.
    """
    try:
        number = int(value, 16)
    except (TypeError, ValueError) as error:
        raise ChainUnreachableError(
            f"The chain's endpoint answered {method} with something else than a number."
        ) from error
    if not 0 <= number < 2**256:
        raise ChainUnreachableError(f"The chain's endpoint answered {method} out of range.")
    return number


class Quotes:
    """Asks a panel what a transaction costs.

    Parameters
    ----------
    panel : Panel
        The endpoints.
    call : Callable
        Runs a call, given as fields, block and deadline, at one block by quorum.
    """

    def __init__(
        self, panel: Panel, call: Callable[[Mapping[str, Any], str, float], bytes]
    ) -> None:
        self._panel, self._call = panel, call

    def price(self, method: str, params: Sequence[Any], deadline: float) -> int:
        """Return the price that a quorum has reached.

        Raises
        ------
        RpcError
            When a quorum refuses: the method is optional.
        ChainUnreachableError
            When too few answer.
        """
        found = self._numbers(method, params, deadline)
        if self._panel.enough(found.answers):
            return self._reached(found)
        refusals = _refusals(found)
        if len(refusals) >= self._panel.rules.quorum:
            raise refusals[0]
        raise self._panel.too_few(method, found)

    def estimate(self, params: Sequence[Any], deadline: float) -> int:
        """Return the gas that a quorum has reached; a revert counts when a quorum gives it.

        Endpoints estimate each at its own newest block, so a revert is asked for again: as a
        call, at one block, with one answer.

        Raises
        ------
        RpcError
            When the contract reverts, or a quorum refuses with the same words.
        ChainUnreachableError
            When neither a number nor a refusal has a quorum.
        """
        quorum = self._panel.rules.quorum
        found = self._numbers("eth_estimateGas", params, deadline)
        refusals = _refusals(found)
        if len(refusals) >= quorum or not self._panel.enough(found.answers):
            if any(error.reverted for error in refusals):
                self._call(params[0], "latest", deadline)
            for text, voices in Counter(error.text for error in refusals).items():
                if voices >= quorum and not self._panel.enough(found.answers):
                    raise next(error for error in refusals if error.text == text)
        if not self._panel.enough(found.answers):
            raise self._panel.too_few("eth_estimateGas", found)
        return self._reached(found)

    def _reached(self, found: Gathered[int]) -> int:
        return reached_by(list(found.answers.values()), self._panel.rules.quorum)

    def _numbers(self, method: str, params: Sequence[Any], deadline: float) -> Gathered[int]:
        """Ask all endpoints; wait for late ones where the others are far apart."""
        found = self._ask(method, params, deadline, self._panel.patience)
        numbers = found.answers.values()
        if found.errors and numbers and max(numbers) > _WIDE * min(numbers):
            return self._ask(method, params, deadline, None)
        return found

    def _ask(
        self, method: str, params: Sequence[Any], deadline: float, patience: float | None
    ) -> Gathered[int]:
        return self._panel.ask(
            lambda _, rpc: quantity(method, rpc.request(method, params)),
            lambda answers: False,
            deadline,
            patience=patience,
        )


def _refusals(found: Gathered[int]) -> list[RpcError]:
    return [error for error in found.errors.values() if isinstance(error, RpcError)]
