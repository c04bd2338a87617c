"""Refusals that a role makes before anything goes on the chain."""

from collections.abc import Sequence

from datatoken.chain.error_texts import TEXTS
from datatoken.chain.errors import ContractError, contract_errors
from datatoken.ddo.agreement import Violation
from datatoken.errors import BadInputError, DataTokenError, ExitCode


class CompositionError(BadInputError):
    """A document does not fit its children or the registered operations."""

    code = "COMPOSITION"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(
            f"The document cannot be published: {joined(violations)}.",
            "Correct the document; nothing was stored or minted.",
        )
        self.violations = tuple(violations)


class AgreementError(DataTokenError):
    """A parent's document breaks the child's terms; all reasons are in `violations`."""

    exit_code = ExitCode.REFUSED
    code = "AGREEMENT"

    def __init__(self, violations: Sequence[Violation]) -> None:
        super().__init__(
            f"The parent breaks the child's terms: {joined(violations)}.",
            "Ask the parent's owner for a DT within the terms; nothing was granted.",
        )
        self.violations = tuple(violations)


def joined(violations: Sequence[Violation]) -> str:
    """Return all violations in one sentence."""
    return "; ".join(str(violation) for violation in violations)


def contract_refusal(name: str, **arguments: object) -> ContractError:
    """Return the error that the contract would revert with, without asking it."""
    message, hint = TEXTS[name]
    kind = contract_errors()[name]
    return kind(arguments, message.format(**arguments), hint.format(**arguments))
